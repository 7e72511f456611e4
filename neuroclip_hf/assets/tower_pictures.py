"""Drawn pictures with captions to train a small CLIP on, and to test it with."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from PIL import Image

from neuroclip_hf.data.simulation.concepts import Concept
from neuroclip_hf.data.simulation.pictures import draw_picture, make_look
from neuroclip_hf.logging import progress

_SIZES = (32, 48, 64, 96)
_CHUNK = 256
_FORMS = ("a {}", "a picture of a {}", "an image of a {}", "a drawing of a {}")


@dataclass(frozen=True)
class CaptionedPictures:
    """Pictures with their words.

    Args:
        pixels (`numpy.ndarray`): (pictures, size, size, 3) uint8.
        captions (`list[str]`): what each shows, look and background included.
        phrases (`list[str]`): the concept of each alone: "red striped star with wings".
    """

    pixels: np.ndarray
    captions: list[str]
    phrases: list[str]


def draw_pictures(
    concepts: Sequence[Concept], count: int, size: int, seed: int, processes: int = 1
) -> CaptionedPictures:
    """Draw `count` pictures of every concept at several sizes, and reduce them to `size` pixels a side.

    The looks are others than in simulated recordings of any seed; equal arguments give equal pictures, whatever the
    number of processes.
    """
    jobs = [(concept, size, seed, number) for concept in concepts for number in range(count)]
    chunks = [jobs[start : start + _CHUNK] for start in range(0, len(jobs), _CHUNK)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        drawn = list(progress(pool.map(_draw_chunk, chunks), total=len(chunks), desc="pictures"))
    return CaptionedPictures(
        pixels=np.concatenate([pixels for pixels, _ in drawn]),
        captions=[caption for _, captions in drawn for caption in captions],
        phrases=[concept.phrase for concept, *_ in jobs],
    )


def reword(caption: str, phrase: str, random: np.random.Generator) -> str:
    """A caption said otherwise: in full, or its concept alone; with or without "a picture of"."""
    words = caption.removeprefix("a ") if random.random() < 0.7 else phrase
    return str(random.choice(_FORMS)).format(words)


def prompts_of(phrase: str) -> list[str]:
    """Ways of naming a concept, whose text embeddings are averaged for zero-shot classification."""
    return [form.format(phrase) for form in _FORMS]


def _draw_chunk(jobs: list[tuple[Concept, int, int, int]]) -> tuple[np.ndarray, list[str]]:
    drawn = [_draw(*job) for job in jobs]
    return np.stack([pixels for pixels, _ in drawn]), [caption for _, caption in drawn]


def _draw(concept: Concept, size: int, seed: int, number: int) -> tuple[np.ndarray, str]:
    # The leading numbers keep these looks apart from a recording's, whose second number is below 256.
    random = np.random.default_rng(np.random.SeedSequence([seed, 0x70000 + number, *concept.name.encode()]))
    look = make_look(concept, random)
    picture = draw_picture(concept, look, int(random.choice(_SIZES)))
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC)), look.caption

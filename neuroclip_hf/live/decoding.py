"""Epochs that come one by one -> what fits best: each alone, and the mean of all of its event's so far."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroclip_hf.galleries.retrieving import Queries, Retrieved, check_sizes, embed_read, rank, tier_of
from neuroclip_hf.galleries.searchable import SearchableGallery
from neuroclip_hf.live.epoching import LiveTrial
from neuroclip_hf.processing.processing_brain import BrainImageProcessor


@dataclass(frozen=True)
class Answer:
    """What was found after an epoch.

    Args:
        single (`Retrieved`): for this epoch alone.
        mean (`Retrieved`): for the mean of all epochs of the event so far, this one included; `trials` of them.
        latency (`float`): seconds from the arrival of the epoch's last sample to this answer.
    """

    single: Retrieved
    mean: Retrieved
    latency: float


class RunningDecoder:
    """Keeps a running mean of each event's epochs, and asks the gallery for every one that comes.

    Args:
        model (`BrainImageModel`): of the checkpoint.
        processor (`BrainImageProcessor`): of the checkpoint, calibrated or not.
        embedded (`SearchableGallery`): from [`neuroclip_hf.galleries.embed_gallery`], or an index.
        top_k (`int`): entries an answer.
        subject (`str`): whose brain it is; one that was trained on gets its own token where the encoder has them.

    `latest` has what was found for the mean of each event so far, the event that came last at the end.
    """

    def __init__(
        self,
        model: Any,
        processor: BrainImageProcessor,
        embedded: SearchableGallery,
        *,
        top_k: int = 5,
        subject: str = "",
    ) -> None:
        check_sizes(top_k, 1)
        self.embedded, self.processor = embedded, processor
        self.latest: dict[str, Retrieved] = {}
        self._model, self._top_k, self._subject = model, top_k, subject
        self._sums: dict[str, tuple[NDArray[np.float64], int]] = {}
        self.tier = tier_of(processor)

    def warm_up(self) -> None:
        """Ask once about noise, and forget it: the first answer of a process takes many times as long as others."""
        noise = np.random.default_rng(0).standard_normal((2, *self.processor.feature_extractor.trial_shape))
        self.embedded.find("")  # an index of many entries sorts their names first
        self._ask("", 1, noise.astype(np.float32), known=False)

    def add(self, trial: LiveTrial, arrived: float) -> Answer:
        """Take in an epoch that was complete at `arrived` (`time.perf_counter`), and answer."""
        before, count = self._sums.get(trial.name, (0.0, 0))
        total = before + trial.values.astype(np.float64)
        self._sums[trial.name] = total, count + 1
        both = [trial.values, (total / (count + 1)).astype(np.float32)]
        known = self.embedded.find(trial.name) is not None
        single, mean = self._ask(trial.name, count + 1, np.stack(both), known=known)
        self.latest.pop(trial.name, None)  # the event that came last stands last
        self.latest[trial.name] = mean
        return Answer(single, mean, time.perf_counter() - arrived)

    def _ask(self, name: str, count: int, values: NDArray[np.float32], *, known: bool) -> list[Retrieved]:
        """What is found for an epoch and for a mean, `values` `(2, channels, samples)`."""
        queries = Queries(
            names=[name] * 2,
            known=known,
            counts=[1, count],
            values=values,
            subject=self._subject,
            processor=self.processor,
            tier=self.tier,
            notes=[],
        )
        return rank(queries, embed_read(self._model, queries), self.embedded, self._top_k).queries

    def right_so_far(self) -> tuple[int, int]:
        """Of how many events that the gallery knows the mean's best entry is right; and how many there are."""
        known = [one for one in self.latest.values() if one.target is not None]
        return sum(bool(one.matches[0].right) for one in known), len(known)

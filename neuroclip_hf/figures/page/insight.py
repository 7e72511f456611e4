"""Figures of what a model does, which need the model, the store and its pictures beside the report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neuroclip_hf import columns
from neuroclip_hf.checkpoints import load_run
from neuroclip_hf.data.rankings import read_ranking
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.figures.attention import attention_figure
from neuroclip_hf.figures.filters import amplification, filter_figure
from neuroclip_hf.figures.inspection.channels import ChannelImportance, channel_importance
from neuroclip_hf.figures.inspection.pictures import filter_pictures, look_at_pictures
from neuroclip_hf.figures.page.content import PageFigure, Section
from neuroclip_hf.figures.page.generation import add_generation_sheet
from neuroclip_hf.figures.page.reading import ABLATION, Result
from neuroclip_hf.figures.page.shared import CHOSEN_EPOCH, caption, percent, readable, recorded_words
from neuroclip_hf.figures.page.sheet import add_sheet, spread
from neuroclip_hf.figures.scalp import placed_channels, scalp_map, why_no_map
from neuroclip_hf.figures.style import to_png
from neuroclip_hf.figures.tiles import ShownPictures
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.run_files import RANKING_FILE

PICTURES = 4
"""So many pictures are shown (ours): spread evenly over all, not the best."""


def add_insight(section: Section, result: Result, store: TrialStore, *, pictures: bool, method: str) -> bool:
    """Retrieval sheet, filters, attention and scalp map of a result's first run; says in words what there is not.

    Args:
        section (`Section`): where they are added.
        result (`Result`): what they are of.
        store (`TrialStore`): what it was tested on.
        pictures (`bool`): show pictures; otherwise tiles with their ids and concepts.
        method (`str`): of the scalp map, see [`channel_importance`].

    Returns:
        Whether the result belongs to the store.

    Raises:
        InputError: if the run is damaged or does not fit the store.
    """
    folder = _folder_of(section, result, store)
    if folder is None:
        return _made_of(result) == store.info.fingerprint
    place = folder.relative_to(result.folder).as_posix()
    first = f"Of the first run, {place}, {CHOSEN_EPOCH}." if folder != result.folder else ""
    recorded = caption(first, recorded_words(store.info.data))
    shown = ShownPictures(store, pictures)
    ranking = read_ranking(folder)
    if ranking is None:
        section.left_out.append(f"retrieval sheet: no {RANKING_FILE}; evaluate again with this version.")
    else:
        add_sheet(section, ranking, shown, recorded)
    add_generation_sheet(section, folder, store, pictures)
    if not (folder / "model.safetensors").is_file():
        section.left_out.append("filters, attention and scalp map: the run's folder holds no model.safetensors.")
        return True
    model, processor = load_run(folder)
    _add_pictures(section, model, processor, store, shown, recorded)
    _add_scalp(section, model, processor, store, method, _subjects(result, folder, store), recorded)
    return True


def _made_of(result: Result) -> str | None:
    """Fingerprint of the store of a result."""
    found: str | None = (result.report or {}).get("store") or result.facts.get("store")
    return found


def _folder_of(section: Section, result: Result, store: TrialStore) -> Path | None:
    """The run to look into; None, with words, where there is none of this store."""
    if result.kind == ABLATION:
        section.left_out.append("what the models do: made for a run or a reproduction, not for an ablation.")
        return None
    made_of = _made_of(result)
    if made_of != store.info.fingerprint:
        section.left_out.append(f"what the model does: its store is {made_of}, --data is {store.info.fingerprint}.")
        return None
    if not result.runs:
        section.left_out.append("what the model does: the folders of the runs are not there.")
        return None
    return result.runs[0]


def _subjects(result: Result, folder: Path, store: TrialStore) -> list[str] | None:
    """Whose test trials the run was asked about, as far as the store has them."""
    ranking = read_ranking(folder)
    named = {query.subject for query in ranking.queries} if ranking else set((result.report or {}).get("subjects", ()))
    return [name for name in store.subjects if name in named] or None


def _add_pictures(
    section: Section, model: Any, processor: Any, store: TrialStore, pictures: ShownPictures, recorded: str
) -> None:
    gallery = store.gallery(columns.TEST)
    places = spread(len(gallery), PICTURES)
    labels = [readable(str(gallery[columns.CONCEPT][place])) for place in places]
    names = [str(gallery[columns.IMAGE_ID][place]) for place in places]
    pixel_values = PictureSet(store.open_picture, names, processor).pixel_values(range(len(names)))
    tiles = None if pictures.are_shown else [pictures.open(*one) for one in zip(names, labels, strict=True)]
    of_pictures = f"{len(names)} of the {len(gallery)} test pictures, evenly over all."
    filtered = filter_pictures(model, processor, pixel_values)
    if filtered is None:
        section.left_out.append("what the dynamic filters do: the model has no dynamic filter.")
    else:
        text = caption(
            "What the Dynamic Filter Layer does to a picture, and its filter: a kernel with all in its centre, or "
            "gains of one, would leave the picture as it is.",
            f"Differences are multiplied by {amplification(filtered)}." if tiles is None else "",
            of_pictures,
            recorded,
        )
        figure = filter_figure(filtered, labels, tiles=tiles)
        section.figures.append(PageFigure("filters", "Dynamic filters", text, to_png(figure, photographs=True)))
    layer, looked = look_at_pictures(model, processor, pixel_values)
    shares = [one.share for one in looked if one.share is not None]
    text = caption(
        "Where CATF looks: how much the patches of the filtered picture are attended to."
        if looked[0].fusion is not None
        else "",
        f"Where prompts and class token look in layer {layer}, the highest that is read. Above each map: its least "
        "and most attended patch, in multiples of an even attention.",
        f"Prompts take {percent(float(np.mean(shares)))} of the class token's attention." if shares else "",
        of_pictures,
        recorded,
    )
    if all(getattr(looked[0], name) is None for name in ("fusion", "prompts", "prefix")):
        section.left_out.append("attention: the tower has neither prompts nor a class token.")
        return
    figure = attention_figure(looked, labels, tiles=tiles)
    section.figures.append(PageFigure("attention", "Attention over pictures", text, to_png(figure, photographs=True)))
    if looked[0].fusion is None:
        section.left_out.append("attention of CATF: the model has no cross-attention.")


def _add_scalp(
    section: Section,
    model: Any,
    processor: Any,
    store: TrialStore,
    method: str,
    subjects: Sequence[str] | None,
    recorded: str,
) -> None:
    channels = processor.feature_extractor.channel_names
    reason = why_no_map(channels)
    if reason is not None:
        section.left_out.append(f"scalp map: {reason}.")
        return
    found = channel_importance(model, processor, store, method=method, subjects=subjects)
    placed = placed_channels(channels)
    lacking = [name for name in channels if name not in placed]
    text = caption(
        _scalp_words(found),
        f"With all channels the right score is {found.whole_score:.3f} and top-1 {percent(found.whole_top1)}.",
        f"n = {found.num_queries} queries.",
        f"Without a place on the scalp, and left out: {', '.join(lacking)}." if lacking else "",
        recorded,
    )
    label = "fall of the right score (cosine)" if method == "occlusion" else "gradient x input (cosine)"
    png = to_png(scalp_map(found.channels, list(found.values), label), photographs=True)
    section.figures.append(PageFigure("scalp", "Channels that carry the signal", text, png))


def _scalp_words(found: ChannelImportance) -> str:
    right = "the right score (mean cosine of right pictures minus that of wrong ones)"
    if found.method == "gradient":
        return f"Gradient x input: what {right} would lose without a channel, were the model linear."
    most = int(np.argmax(found.values))
    top1 = (
        "" if found.top1 is None else f", and leaves a top-1 of {percent(found.whole_top1 - float(found.top1[most]))}"
    )
    return (
        f"Occlusion: how far {right} falls when one channel is set to its mean. {found.channels[most]} costs most: "
        f"{found.values[most]:.4f}{top1}. Channels that can stand in for each other each look unimportant."
    )

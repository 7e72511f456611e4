"""Whether a store fits a checkpoint, and which part of it the checkpoint reads."""

from collections.abc import Sequence

from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_part import listed, part_of_store
from neuroclip_hf.errors import InputError
from neuroclip_hf.processing.processing_brain import BrainImageProcessor


def fitting_part(processor: BrainImageProcessor, store: TrialStore) -> TrialStore:
    """The channels and samples of a store that a checkpoint reads, before anything is computed.

    Where channels are listed subject by subject, the trials of those who have the checkpoint's can be read, those who
    trained first; of others they are refused when they are read.

    Raises:
        InputError: naming what differs.
    """
    mine, info = processor.feature_extractor, store.info
    if (info.num_timesteps is None) != (mine.num_timesteps is None):
        raise InputError(
            f"{store.path} holds {info.modality}; the checkpoint takes {mine.input_name}: use its own kind."
        )
    if store.has_channel_table and not info.channels:
        store = store.of_subjects(_subjects_with(mine.channel_names, mine.subjects, store))
    held = set(store.info.channels)
    missing = [name for name in mine.channel_names if name not in held]
    if missing:
        raise InputError(
            f"{store.path} lacks the channels {listed(missing)} of the checkpoint; it has "
            f"{listed(store.info.channels)}: prepare it with the same --channels."
        )
    for name, remedy in (
        ("sampling_rate", "--rate"),
        ("unit", "preprocessing"),
    ):
        theirs, own = getattr(info, name), getattr(mine, name)
        if theirs != own:
            raise InputError(
                f"{store.path}: {name} is {theirs}, the checkpoint's is {own}: prepare with its {remedy}."
            )
    if mine.num_timesteps is None or mine.sampling_rate is None:
        return part_of_store(store, mine.channel_names)
    window = (mine.window_start, mine.window_start + mine.num_timesteps / mine.sampling_rate)
    try:
        return part_of_store(store, mine.channel_names, window)
    except InputError as error:
        raise InputError(
            f"{error} The checkpoint reads {window[0]:g} to {window[1]:g} s: prepare with its --window."
        ) from None


def _subjects_with(names: Sequence[str], trained: Sequence[str], store: TrialStore) -> list[str]:
    """Whose trials a checkpoint reads: somebody with its voxels, first of those who trained, and all that are alike.

    Raises:
        InputError: if nobody has them.
    """
    wanted = set(names)
    having = [name for name in store.subjects if wanted <= set(store.channels(name))]
    if not having:
        raise InputError(
            f"{store.path}: the checkpoint reads {len(names)} voxels of {', '.join(trained)} ({listed(names[:3])}, "
            f"...), and nobody in it has those ({', '.join(store.subjects)}): train a model for each subject."
        )
    first = next((name for name in trained if name in having), having[0])
    return [name for name in having if store.subject_channels(first).alike(store.subject_channels(name))]

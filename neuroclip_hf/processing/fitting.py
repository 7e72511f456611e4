"""Whether a store fits a checkpoint, and which part of it the checkpoint reads."""

from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_part import part_of_store
from neuroclip_hf.errors import InputError
from neuroclip_hf.processing.processing_brain import BrainImageProcessor


def fitting_part(processor: BrainImageProcessor, store: TrialStore) -> TrialStore:
    """The channels and samples of a store that a checkpoint reads, before anything is computed.

    Raises:
        InputError: naming what differs.
    """
    mine, info = processor.feature_extractor, store.info
    if (info.num_timesteps is None) != (mine.num_timesteps is None):
        raise InputError(
            f"{store.path} holds {info.modality}; the checkpoint takes {mine.input_name}: use its own kind."
        )
    missing = [name for name in mine.channel_names if name not in info.channels]
    if missing:
        raise InputError(
            f"{store.path} lacks the channels {', '.join(missing)} of the checkpoint; it has "
            f"{', '.join(info.channels)}: prepare it with the same --channels."
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

"""Which processes train together, on which device and in which precision, as Accelerate sees it."""

from datetime import timedelta
from inspect import signature
from typing import Any

from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import (
    DistributedDataParallelKwargs,
    DistributedType,
    broadcast_object_list,
    parse_flag_from_env,
)
from torch.nn.parallel import DistributedDataParallel

from neuroclip_hf.errors import InputError
from neuroclip_hf.training.settings import ACCUMULATION_REMEDY, TrainingSettings

PATIENCE = timedelta(hours=2)
"""So long a process waits for another one in an exchange (ours): the first one validates and evaluates alone."""


def this_process() -> PartialState:
    """Which of the processes this is, and its device, as Accelerate sees it."""
    # Asked for outside an Accelerator, it does not read that variable itself.
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"), timeout=PATIENCE)


def of_first_process(value: Any) -> Any:
    """What the first process gave for `value`, on all of them."""
    [known] = broadcast_object_list([value])
    return known


def make_accelerator(settings: TrainingSettings) -> Accelerator:
    """Accelerate for one training.

    Raises:
        InputError: if the precision cannot be had here, Accelerate is set up for something that would change the loss
            or shard the model, or there are more processes than items in a batch.
    """
    # Accelerate remembers the precision of the first training in a process, and refuses another one in the second.
    if AcceleratorState._shared_state and AcceleratorState().mixed_precision != settings.mixed_precision:
        AcceleratorState._reset_state()
    try:
        accelerator = Accelerator(mixed_precision=settings.mixed_precision)
    except (ValueError, ImportError) as error:
        raise InputError(f"mixed_precision={settings.mixed_precision} cannot be used here: {error}") from None
    accelerator.ddp_handler = _OwnBuffers()  # among kwargs_handlers it takes its own class alone
    if settings.mixed_precision == "fp16" and accelerator.device.type == "cpu":  # Accelerate would take float32
        raise InputError("mixed_precision is fp16: it needs a GPU; on a CPU choose bf16 or no.")
    if accelerator.gradient_accumulation_steps != 1:
        raise InputError(
            f"Accelerate is set to accumulate the gradients of {accelerator.gradient_accumulation_steps} batches: a "
            f"contrastive loss would then tell each picture from fewer others. {ACCUMULATION_REMEDY} Set "
            "ACCELERATE_GRADIENT_ACCUMULATION_STEPS, or `accelerate config`, to 1."
        )
    if accelerator.distributed_type in _SHARDED:
        raise InputError(
            f"Accelerate is set to {accelerator.distributed_type.value}: each process holds the whole model here, so "
            "run `accelerate config` for plain multi-GPU or multi-CPU training."
        )
    if settings.batch_size < accelerator.num_processes:
        raise InputError(
            f"batch_size is {settings.batch_size}: it is over all processes together, of which there are "
            f"{accelerator.num_processes}; each needs a trial."
        )
    return accelerator


class _OwnBuffers(DistributedDataParallelKwargs):
    """Buffers need no copying in each step: BatchNorm's statistics are the same on all processes."""

    def to_kwargs(self) -> dict[str, Any]:
        # torch 2.13 renamed it, and Accelerate 1.15 knows the old name alone.
        names = signature(DistributedDataParallel).parameters
        return {"forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers": False}


_SHARDED = (DistributedType.DEEPSPEED, DistributedType.FSDP, DistributedType.MEGATRON_LM, DistributedType.XLA)

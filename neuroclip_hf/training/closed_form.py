"""Training without steps: encoders whose weights are solved for."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from accelerate.utils import send_to_device
from torch.utils.data import DataLoader

from neuroclip_hf import columns
from neuroclip_hf.errors import InputError
from neuroclip_hf.logging import get_logger, progress
from neuroclip_hf.models.brain_image.modeling_brain_image import BrainImageModel
from neuroclip_hf.training.exactness import deterministic_on_cpus
from neuroclip_hf.training.processes import this_process
from neuroclip_hf.training.record import copy_of_trained
from neuroclip_hf.training.result import TrainingResult, Validate
from neuroclip_hf.training.tracking import Tracker

_ITEMS = 256  # that are made into a batch at once, where all of them are read


def solve(
    model: BrainImageModel,
    dataset: Any,
    collator: Callable[[Any], dict[str, torch.Tensor]],
    groups: Sequence[Any],
    validate: Validate | None,
    description: str = "training",
    trackers: Sequence[Tracker] = (),
) -> TrainingResult:
    """Solve for the weights of a closed-form encoder: what [`neuroclip_hf.training.trainer.train`] is to others.

    Every item of the dataset is read once, as the first epoch shows it. What it is brought near to are the model's
    `fixed_targets`. There is one epoch; its `loss` is the part of the targets' variance that held-out items left
    unexplained with the penalty that was chosen. The factor of the cosines stays as it was.

    Args:
        model (`BrainImageModel`): its encoder has `closed_form`.
        dataset (map-style): training items.
        collator (callable): items -> batch.
        groups (sequence): of each item, what is held out together while the penalty is chosen.
        validate (callable, *optional*): model -> {"loss": ..., "top1": ...}, called once, after the solution.
        description (`str`): of the progress bar.
        trackers (sequence of `Tracker`): told once.

    Raises:
        InputError: if the model's pictures are trained too, such an encoder has no use for one of its settings, or
            there are several processes.
    """
    _refuse_unsolvable(model)
    started = time.perf_counter()
    model.eval()
    with deterministic_on_cpus(model.device):
        values, targets = _problem(model, dataset, collator, description)
        facts = model.encoder.fit(values, targets, groups)
        scores = {} if validate is None else validate(model)
    entry = {"epoch": 1, "loss": 1 - facts["cv_r2"], **{f"validation_{name}": each for name, each in scores.items()}}
    for tracker in trackers:
        tracker.log([entry])
    shown = ", ".join(f"{name} {value:.3f}" for name, value in entry.items() if name != "epoch")
    get_logger().info("%s, in closed form: %s", description, shown)
    return TrainingResult(
        best_epoch=1,
        history=[entry],
        seconds=time.perf_counter() - started,
        trainable_parameters=sum(each.numel() for each in model.encoder.parameters()),
        last_weights=copy_of_trained(model),
        facts={"epochs": 1, "closed_form": facts},
    )


def _refuse_unsolvable(model: BrainImageModel) -> None:
    name, config = model.config.encoder_config.model_type, model.config
    if model.unused_when_solved is None:
        raise InputError(
            f"encoder is {name}, which is solved for, and {config.model_type} trains what its pictures become, so "
            "that nothing stands fixed to solve for: say kind=brainclip, or choose an encoder that is trained."
        )
    if model.needs_pictures:
        raise InputError(f"encoder is {name}, which is solved for, and prompts or LoRA are trained: say prompt=null.")
    for setting, wanted in model.unused_when_solved.items():
        if getattr(config, setting) != wanted:
            raise InputError(
                f"{setting} is {getattr(config, setting)}, which an encoder that is solved for, as {name}, has no use "
                f"for: say {setting}={wanted}."
            )
    if this_process().num_processes > 1:
        raise InputError(f"encoder is {name}, which one process solves for: start the training on one.")


@torch.no_grad()
def _problem(
    model: BrainImageModel, dataset: Any, collator: Callable[[Any], dict[str, torch.Tensor]], description: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """All items, standardised, and what they are to be brought near to, on the CPU."""
    values, targets = [], []
    for batch in progress(DataLoader(dataset, batch_size=_ITEMS, collate_fn=collator), desc=description, unit="batch"):
        values.append(batch.pop(model.main_input_name).cpu())
        batch.pop(columns.SUBJECT_INDEX, None)
        targets.append(model.fixed_targets(send_to_device(batch, model.device)).float().cpu())
    return torch.cat(values), torch.cat(targets)

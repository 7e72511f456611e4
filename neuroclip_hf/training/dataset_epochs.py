"""What transformers' `Trainer` does not do by itself: tell a dataset its epoch, and keep a batch in one piece."""

from typing import Any

from transformers import TrainerCallback

from neuroclip_hf.errors import InputError
from neuroclip_hf.training.settings import ACCUMULATION_REMEDY


class DatasetEpochs(TrainerCallback):
    """Tells the training dataset its epoch, so that a training that goes on within an epoch ends with the same bits.

    `Trainer(..., callbacks=[DatasetEpochs()])` with a [`TrialDataset`], whose choice of repeats and perturbation
    depend on the epoch. Trainer and Accelerate tell a dataset its epoch by themselves, except in the one within which
    they go on (transformers 5.23, accelerate 1.15): that would be trained as epoch 0.

    It also refuses `gradient_accumulation_steps` above 1: Trainer would take them without a word, and a contrastive
    loss would tell each picture from fewer others.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """See `TrainerCallback`.

        Raises:
            InputError: if gradients are to be accumulated.
        """
        if args.gradient_accumulation_steps > 1:
            raise InputError(
                f"gradient_accumulation_steps is {args.gradient_accumulation_steps}: a contrastive loss would then "
                f"tell each picture from fewer others. {ACCUMULATION_REMEDY}"
            )

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """See `TrainerCallback`."""
        dataset = others["train_dataloader"].dataset
        if hasattr(dataset, "set_epoch"):
            dataset.set_epoch(int(state.epoch))  # rounded down: what is behind it lies in this epoch

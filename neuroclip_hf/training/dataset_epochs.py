"""The epoch of a dataset under transformers' `Trainer`."""

from typing import Any

from transformers import TrainerCallback


class DatasetEpochs(TrainerCallback):
    """Tells the training dataset its epoch, so that a training that goes on within an epoch ends with the same bits.

    `Trainer(..., callbacks=[DatasetEpochs()])` with a [`TrialDataset`], whose choice of repeats and perturbation
    depend on the epoch. Trainer and Accelerate tell a dataset its epoch by themselves, except in the one within which
    they go on (transformers 5.23, accelerate 1.15): that would be trained as epoch 0.
    """

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """See `TrainerCallback`."""
        dataset = others["train_dataloader"].dataset
        if hasattr(dataset, "set_epoch"):
            dataset.set_epoch(int(state.epoch))  # rounded down: what is behind it lies in this epoch

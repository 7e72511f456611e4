"""Train NeuroCLIP from Python: with transformers' Trainer, and with a loop of one's own.

    python examples/train_in_python.py --data STORE --out FOLDER --epochs 10

Without `--data` recordings are simulated. Both ways start from the same weights, and hold a tenth of the training
concepts out to validate; the test split is not opened. `FOLDER/trainer` and `FOLDER/loop` are checkpoints that
`NeuroCLIPModel.from_pretrained` and `neuroclip evaluate` take. The last line on stdout is JSON.
"""

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from transformers import AutoImageProcessor, Trainer, TrainingArguments

from neuroclip_hf import (
    BrainFeatureExtractor,
    BrainImageCollator,
    DatasetEpochs,
    NeuroCLIPModel,
    NeuroCLIPProcessor,
    TrialDataset,
    TrialStore,
    columns,
    retrieval_metrics,
)
from neuroclip_hf.data.perturbation import Perturbation
from neuroclip_hf.data.simulation.things_eeg2 import simulate_things_eeg2
from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2
from neuroclip_hf.data.trials import TrainingView
from neuroclip_hf.data.validation import hold_out_validation
from neuroclip_hf.metrics import retrieval_accuracy
from neuroclip_hf.models.towers import SMALL_CLIP_FOLDER
from neuroclip_hf.processing.collator import PictureSet

BATCH, LEARNING_RATE, SEED = 64, 1e-3, 0
TRAINING_VIEW = TrainingView(average=(1, 4), perturbation=Perturbation(noise=0.1, shift=5, scaling=0.1))


@dataclass(frozen=True)
class Parts:
    """All that a training needs beside the model."""

    processor: NeuroCLIPProcessor
    collator: BrainImageCollator
    train: TrialDataset
    validation: TrialDataset


def make_parts(store: TrialStore) -> Parts:
    """Datasets of trials, the collator that gives each batch its pictures, and the processor saved with a model."""
    rows, held_out = hold_out_validation(store.trials, store.select(columns.TRAIN), columns.BY_CONCEPTS, SEED)
    image_processor = AutoImageProcessor.from_pretrained(SMALL_CLIP_FOLDER, backend="pil")
    processor = NeuroCLIPProcessor(BrainFeatureExtractor.fit(store, rows), image_processor)
    gallery = store.gallery(columns.TRAIN)
    pictures = PictureSet(store.open_picture, list(gallery[columns.IMAGE_ID]), processor)
    train = TrialDataset(store, store.trials, rows, gallery, TRAINING_VIEW, SEED)
    validation = TrialDataset(store, store.trials, held_out, gallery, TrainingView(), SEED)
    return Parts(processor, BrainImageCollator(processor, pictures), train, validation)


def make_model(parts: Parts) -> NeuroCLIPModel:
    """A NeuroCLIP with every part on, on the tower that ships with the package."""
    torch.manual_seed(SEED)
    channels, samples = parts.processor.feature_extractor.trial_shape
    sizes = {"num_channels": channels, "num_timesteps": samples}
    return NeuroCLIPModel.from_vision_pretrained("small-clip", encoder="eeg_project", encoder_settings=sizes)


def train_with_trainer(parts: Parts, epochs: int, folder: Path) -> dict[str, float]:
    """Metrics and a checkpoint after each epoch; the best one by validation is kept in `folder`."""
    arguments = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        num_train_epochs=epochs,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="top5",
        seed=SEED,
        remove_unused_columns=False,  # the collator knows what to take from an item
        label_names=["image_id"],  # so that retrieval_metrics knows which rows show one picture
        report_to=[],
    )
    trainer = Trainer(
        make_model(parts),
        arguments,
        data_collator=parts.collator,
        train_dataset=parts.train,
        eval_dataset=parts.validation,
        compute_metrics=retrieval_metrics,
        processing_class=parts.processor,
        callbacks=[DatasetEpochs()],
    )
    trainer.train()  # resume_from_checkpoint=True goes on after the newest checkpoint
    trainer.save_model(str(folder))
    scores = trainer.evaluate()
    return {name: scores[f"eval_{name}"] for name in ("top1", "top5", "chance_top5")}


def train_with_own_loop(parts: Parts, epochs: int, folder: Path) -> dict[str, float]:
    """Twelve lines of torch; the weights after the last epoch are kept in `folder`."""
    model = make_model(parts)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE)
    loader = DataLoader(parts.train, BATCH, shuffle=True, drop_last=True, collate_fn=parts.collator)
    for epoch in range(epochs):
        parts.train.set_epoch(epoch)
        model.train()
        for batch in loader:
            optimizer.zero_grad()
            model(**batch).loss.backward()
            optimizer.step()
    model.save_pretrained(folder)
    parts.processor.save_pretrained(folder)
    return validate(model, parts)


@torch.no_grad()
def validate(model: NeuroCLIPModel, parts: Parts) -> dict[str, float]:
    """All validation trials against all validation pictures."""
    model.eval()
    batch = parts.collator([parts.validation[item] for item in range(len(parts.validation))])
    brain = model.get_brain_features(batch["eeg_values"])
    return retrieval_accuracy(brain, model.get_image_features(batch["pixel_values"]), batch["picture_index"])


def simulate(folder: Path) -> TrialStore:
    """Recordings of one made-up brain, and their store."""
    simulate_things_eeg2(folder / "recordings", subjects=(1,), concepts=60, images_per_concept=4, snr=0.5)
    return TrialStore(prepare_things_eeg2(folder / "recordings", folder / "store"))


def main(words: list[str] | None = None) -> int:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a trial store; without it, one is simulated")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoints")
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        parts = make_parts(TrialStore(given.data) if given.data else simulate(Path(folder)))
        scores = {
            "trainer": train_with_trainer(parts, given.epochs, given.out / "trainer"),
            "loop": train_with_own_loop(parts, given.epochs, given.out / "loop"),
        }
    print(json.dumps(scores))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

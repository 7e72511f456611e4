"""`model.py frozen`: a step without prompts, through dataset, collator and model, against the brain encoder alone."""

import statistics
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import TrainingStep, milliseconds, ratio
from torch.utils.data import DataLoader
from transformers import AutoImageProcessor, CLIPImageProcessorPil

from neuroclip_hf import NeuroCLIPConfig, NeuroCLIPModel, NeuroCLIPProcessor, TrialStore, columns
from neuroclip_hf.columns import SMALL_CLIP
from neuroclip_hf.data.sampling import Shuffled
from neuroclip_hf.data.sources.arrays import prepare_arrays
from neuroclip_hf.data.trials import TrainingView, TrialDataset
from neuroclip_hf.models.towers import SMALL_CLIP_FOLDER
from neuroclip_hf.processing.collator import BrainImageCollator, PictureSet
from neuroclip_hf.processing.embedding import embed_pictures_frozen
from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor

TRIALS_A_PICTURE = 4
# The default encoder with the channels that it takes by default, and the one for all of them.
ENCODERS = {"eeg_project": 17, "ts_conv": 63}
SAMPLES, RATE = 250, 250.0


def make_store(folder: Path, channels: int, pictures: int) -> TrialStore:
    """Noise, in the form of trials and pictures."""
    generator, trials = np.random.default_rng(0), TRIALS_A_PICTURE * pictures
    np.savez(
        folder / f"{channels}.npz",
        brain=generator.standard_normal((trials, channels, SAMPLES)) * 1e-5,
        images=generator.integers(0, 256, (pictures, 32, 32, 3), dtype=np.uint8),
        image_id=np.arange(trials) % pictures,
        channel_names=np.array([f"C{number}" for number in range(channels)]),
        sampling_rate=RATE,
        unit="V",
    )
    return TrialStore(prepare_arrays(folder / f"{channels}.npz", folder / f"store{channels}", protocol="new-concepts"))


class Prepared:
    """A model without prompts and the batches that its trainer would see; pictures are encoded here, once."""

    def __init__(self, store: TrialStore, encoder: str, place: Any) -> None:
        rows = store.select(columns.TRAIN)
        trials = BrainFeatureExtractor.fit(store, rows)
        processor = NeuroCLIPProcessor(trials, make_image_processor(place))
        gallery = store.gallery(columns.TRAIN)
        pictures = PictureSet(store.open_picture, list(gallery[columns.IMAGE_ID]), processor)
        sizes = {"num_channels": trials.trial_shape[0], "num_timesteps": SAMPLES}
        self.model = make_model(place, encoder, sizes).to(place.device).train()
        features = embed_pictures_frozen(self.model, pictures)
        dataset = TrialDataset(store, store.trials, rows, gallery, TrainingView(), seed=0)
        collator = BrainImageCollator(processor, None, features)
        self._loader = DataLoader(dataset, batch_sampler=_Endless(len(rows), place.pictures), collate_fn=collator)
        self._device = place.device

    def batches(self) -> Iterator[dict[str, torch.Tensor]]:
        """Without an end."""
        for batch in self._loader:
            yield {name: value.to(self._device) for name, value in batch.items()}


class _Endless:
    def __init__(self, items: int, batch: int) -> None:
        self._order = Shuffled(items, batch, seed=0)

    def __iter__(self) -> Iterator[list[int]]:
        for epoch in count():
            yield from self._order.epoch(epoch)


def make_model(place: Any, encoder: str, sizes: dict[str, int]) -> NeuroCLIPModel:
    """On the tower that ships, or on one with random weights in the shape asked for."""
    if place.tower == SMALL_CLIP:
        return NeuroCLIPModel.from_vision_pretrained(encoder=encoder, encoder_settings=sizes, prompt=None)
    encoder_config = {"model_type": encoder, **sizes}
    return NeuroCLIPModel(
        NeuroCLIPConfig(encoder_config=encoder_config, vision_config=place.tower_sizes, prompt_config=None)
    )


def make_image_processor(place: Any) -> Any:
    if place.tower == SMALL_CLIP:
        return AutoImageProcessor.from_pretrained(SMALL_CLIP_FOLDER, backend="pil")
    size = place.tower_sizes["image_size"]
    return CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size})


def measure_encoder(place: Any, folder: Path, name: str, channels: int) -> dict[str, Any]:
    prepared = Prepared(make_store(folder, channels, place.pictures), name, place)
    model, batches = prepared.model, prepared.batches()
    batch = next(batches)
    wanted = torch.randn(place.pictures, model.config.encoder_config.hidden_size, device=place.device)

    def alone(values: torch.Tensor) -> torch.Tensor:
        return (model.encoder(values).features * wanted).sum()

    steps = {
        "model": TrainingStep(model, lambda: model(**batch).loss, place.precision),
        "encoder": TrainingStep(model.encoder, lambda: alone(batch["eeg_values"]), place.precision),
        "model_with_data": TrainingStep(model, lambda: model(**next(batches)).loss, place.precision),
        "encoder_with_data": TrainingStep(model.encoder, lambda: alone(next(batches)["eeg_values"]), place.precision),
    }
    times = milliseconds(steps, place.device, place.repeats, place.warm_up)
    return {
        "channels": channels,
        "ms": {key: round(statistics.median(values), 2) for key, values in times.items()},
        "ratio": round(ratio(times, "model", "encoder"), 3),
        "ratio_with_data": round(ratio(times, "model_with_data", "encoder_with_data"), 3),
        "encoder_parameters": sum(each.numel() for each in model.encoder.parameters()),
    }


def measure(place: Any) -> dict[str, Any]:
    """Bound: 1.2 times the encoder's own step (forward, backward, AdamW) on the same batch.

    `with_data`: both steps read, standardise and collate their trials first.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = {name: measure_encoder(place, Path(folder), name, channels) for name, channels in ENCODERS.items()}
    return {
        "batch": place.pictures,
        "encoders": found,
        "bound": 1.2,
        "holds": all(one["ratio"] <= 1.2 for one in found.values()),
    }

"""How hard simulated THINGS-EEG2 is: one JSON line for each choice of settings.

    python benchmarks/simulation.py [--settings default benchmark] [--snr 0.25]

Top-1 among the test pictures, mean of the subjects, from single trials and from the mean of all repeats:

- `ridge_code`: ridge regression from whitened occipital epochs to the planted code, trained on the mean of each
  training picture's repeats, ranked by cosine;
- `ridge_clip`: the same to the features of the small CLIP's frozen vision tower;
- `frozen_eeg_project`: NeuroCLIP without prompts, its EEGProject encoder trained contrastively on the same features
  for 20 epochs, without validation;
- `ceiling`: an observer who knows the response to every test picture exactly, and the noise's covariance from 12,000
  trials of its own, and takes the likeliest picture. Responses vary from trial to trial and noise is not quite
  Gaussian, so this is a bound for linear methods and not a law.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import mne
import numpy as np
import torch
from numpy.typing import NDArray
from printing import describe_cpu, print_line
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import RidgeCV
from transformers import AutoImageProcessor, CLIPVisionModel

from neuroclip_hf import NeuroCLIPModel
from neuroclip_hf.columns import IMAGE_ID, TEST, TRAIN
from neuroclip_hf.data.cutting import cut_epochs
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.simulation import SimulationSettings, planted_codes, simulate_things_eeg2
from neuroclip_hf.data.simulation.eeg import response_kernel, simulate_signal
from neuroclip_hf.data.simulation.frozen import BENCHMARK, PREPARATION
from neuroclip_hf.data.simulation.randomness import random_of
from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.things_eeg2 import FACTS, ImageMetadata, read_image_metadata
from neuroclip_hf.metrics.retrieval import retrieval_accuracy
from neuroclip_hf.models.loading import without_load_report, without_weight_bars
from neuroclip_hf.models.towers import SMALL_CLIP_FOLDER

SETTINGS = {"default": SimulationSettings(), "benchmark": BENCHMARK}
EPOCHS = EpochSettings(sampling_rate=FACTS.epoch_sampling_rate)
NOISE_TRIALS, NOISE_PART = 12_000, 1_000  # trials of the observer's own, and so many in one recording
EPOCHS_OF_TRAINING = 20
ALPHAS = np.logspace(1, 7, 13)


Trials = tuple[NDArray[Any], NDArray[Any]]  # (trials, channels x samples), and the place of each one's picture


def top1(query: NDArray[Any], gallery: NDArray[Any], target: NDArray[Any]) -> float:
    tensors = (torch.as_tensor(np.asarray(part)) for part in (query, gallery, target))
    return retrieval_accuracy(*tensors, ks=(1,))["top1"]


def means(values: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
    """The mean of the trials of every target, in the order of targets."""
    return np.stack([values[target == row].mean(axis=0) for row in range(target.max() + 1)])


def measure(settings: SimulationSettings, folder: Path) -> dict[str, Any]:
    simulate_things_eeg2(folder / "recordings", **settings.to_dict())
    store = TrialStore(prepare_things_eeg2(folder / "recordings", folder / "store", **PREPARATION))
    order = read_image_metadata(folder / "recordings")
    places = places_of(order)
    targets = {
        "ridge_code": {split: planted_codes(settings, split) for split in places},
        "ridge_clip": {split: clip_features(store, list(places[split])) for split in places},
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in (*targets, "frozen_eeg_project", "ceiling")}
    for number, subject in zip(settings.subjects, store.subjects, strict=True):
        trials = {split: brain_and_target(store, split, subject, places[split]) for split in places}
        for name, (single, average) in ridge(trials, targets).items():
            found[name].append((single, average))
        found["frozen_eeg_project"].append(frozen_eeg_project(store, trials, targets["ridge_clip"]))
        found["ceiling"].append(ceiling(settings, number, targets["ridge_code"], folder / "recordings"))
    return {
        name: {
            kind: round(float(np.mean([pair[place] for pair in values])), 4)
            for place, kind in enumerate(("single", "average"))
        }
        for name, values in found.items()
    }


def places_of(order: ImageMetadata) -> dict[str, dict[str, int]]:
    """Split -> picture -> its place in the metadata."""
    return {
        split: {order.image_id(split, code + 1): code for code in range(order.size(split))} for split in (TRAIN, TEST)
    }


def brain_and_target(store: TrialStore, split: str, subject: str, places: dict[str, int]) -> Trials:
    rows = store.select(split, [subject])
    target = np.array([places[name] for name in store.trials[IMAGE_ID].to_numpy()[rows]])
    return store.read(rows).reshape(len(rows), -1), target


def clip_features(store: TrialStore, image_ids: list[str]) -> NDArray[Any]:
    with without_weight_bars(), without_load_report():
        tower = CLIPVisionModel.from_pretrained(SMALL_CLIP_FOLDER, dtype=torch.float32).eval()
    processor = AutoImageProcessor.from_pretrained(SMALL_CLIP_FOLDER, backend="pil")
    pixels = processor([store.open_picture(name) for name in image_ids], return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        return torch.cat([tower(part).pooler_output for part in pixels.split(500)]).numpy()


def ridge(trials: dict[str, Trials], targets: dict[str, dict[str, NDArray[Any]]]) -> dict[str, tuple[float, float]]:
    brain, target = trials[TEST]
    averaged = means(*trials[TRAIN])
    centre, spread = averaged.mean(axis=0), averaged.std()
    scaled = [(values - centre) / spread for values in (averaged, brain, means(brain, target))]
    found = {}
    for name, of_split in targets.items():
        mean = of_split[TRAIN].mean(axis=0)
        model = RidgeCV(ALPHAS).fit(scaled[0], of_split[TRAIN] - mean)
        single, average = (model.predict(values) for values in scaled[1:])
        gallery = of_split[TEST] - mean
        found[name] = (top1(single, gallery, target), top1(average, gallery, np.arange(len(gallery))))
    return found


def frozen_eeg_project(
    store: TrialStore, trials: dict[str, Trials], features: dict[str, NDArray[Any]]
) -> tuple[float, float]:
    shape = (len(store.info.channels), store.info.num_timesteps)
    brain, target = trials[TRAIN]
    brain = brain.reshape(-1, *shape)
    centre, spread = brain.mean(axis=(0, 2), keepdims=True)[0], brain.std()
    scaled = {
        split: torch.as_tensor((part[0].reshape(-1, *shape) - centre) / spread) for split, part in trials.items()
    }
    pictures = {split: torch.as_tensor(part)[:, None] for split, part in features.items()}  # of one layer
    torch.manual_seed(0)
    with without_weight_bars():
        model = NeuroCLIPModel.from_vision_pretrained(
            encoder_settings={"num_channels": shape[0], "num_timesteps": shape[1], "hidden_size": 512, "dropout": 0.5},
            prompt=None,
            projection_dim=128,
        )
    model.centre_pictures(model.image_projection(pictures[TRAIN]), pictures[TRAIN])
    repeats = [torch.as_tensor(np.flatnonzero(target == row)) for row in range(len(pictures[TRAIN]))]
    fit(model, scaled[TRAIN], repeats, pictures[TRAIN])
    with torch.inference_mode():
        gallery = model.image_projection(pictures[TEST]).numpy()
        query = torch.cat([model.get_brain_features(part) for part in scaled[TEST].split(1000)]).numpy()
        shown = trials[TEST][1]
        averages = torch.as_tensor(means(scaled[TEST].numpy(), shown))
        average = model.get_brain_features(averages).numpy()
    return top1(query, gallery, shown), top1(average, gallery, np.arange(len(gallery)))


def fit(model: NeuroCLIPModel, brain: torch.Tensor, repeats: list[torch.Tensor], pictures: torch.Tensor) -> None:
    """Train a model on means of 1 to all repeats of every picture, and leave it in eval mode."""
    batch = min(256, len(repeats))
    steps = EPOCHS_OF_TRAINING * (len(repeats) // batch)
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    random = torch.Generator().manual_seed(0)
    model.train()
    for _ in range(EPOCHS_OF_TRAINING):
        for rows in torch.randperm(len(repeats), generator=random).split(batch):
            if len(rows) < batch:
                continue
            values = [brain[some(repeats[row], random)].mean(dim=0) for row in rows.tolist()]
            loss = model(eeg_values=torch.stack(values), image_features=pictures[rows]).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()


def some(rows: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """One to all of `rows`, at random."""
    count = int(torch.randint(1, len(rows) + 1, (1,), generator=random))
    return rows[torch.randperm(len(rows), generator=random)[:count]]


def ceiling(
    settings: SimulationSettings, subject: int, codes: dict[str, NDArray[Any]], recordings: Path
) -> tuple[float, float]:
    """Top-1 of the observer, from single test trials and from their means."""
    store_folder = recordings.parent / f"plain-{subject}"
    store = TrialStore(prepare_things_eeg2(recordings, store_folder, subjects=(subject,), whitening="none"))
    order = read_image_metadata(recordings)
    places = places_of(order)
    brain, target = brain_and_target(store, TEST, store.subjects[0], places[TEST])
    trained, shown = brain_and_target(store, TRAIN, store.subjects[0], places[TRAIN])
    occipital = replace(settings, channels=FACTS.occipital_channels, bad_channels=())
    kernel = response_to_codes(occipital, subject)
    noise = own_trials(occipital, subject, codes[TRAIN], kernel)
    mean = trained.mean(axis=0) * 1e6 - codes[TRAIN][shown].mean(axis=0) @ kernel
    response = codes[TEST] @ kernel
    filters = np.linalg.solve(ledoit_wolf(noise)[0], response.T)  # (channels x samples, pictures)
    bias = (filters * response.T).sum(axis=0) / 2
    scores = [(values * 1e6 - mean) @ filters - bias for values in (brain, means(brain, target))]
    right = (target, np.arange(len(response)))
    return tuple(float((score.argmax(axis=1) == row).mean()) for score, row in zip(scores, right, strict=True))


def cut(settings: SimulationSettings, data: NDArray[Any], onsets: NDArray[Any]) -> NDArray[Any]:
    """Epochs as the store holds them, (trials, channels x samples), in microvolts."""
    info = mne.create_info(list(settings.channels), settings.sampling_rate, "eeg", verbose="error")
    raw = mne.io.RawArray(data * 1e-6, info, verbose="error")
    parts = [values for _, values in cut_epochs(raw, onsets, EPOCHS, list(settings.channels))]
    return np.concatenate(parts).reshape(len(onsets), -1) * 1e6


def response_to_codes(settings: SimulationSettings, subject: int) -> NDArray[Any]:
    """The response to every number of the code, without noise, after the store's steps: (code, channels x samples)."""
    kernel = response_kernel(settings, subject)[1:]
    rate = settings.sampling_rate
    onsets = (np.arange(len(kernel)) + 1) * 3 * rate
    data = np.zeros((kernel.shape[1], onsets[-1] + 3 * rate))
    for onset, response in zip(onsets, kernel, strict=True):
        data[:, onset : onset + response.shape[1]] = response
    return cut(settings, data, onsets)


def own_trials(settings: SimulationSettings, subject: int, codes: NDArray[Any], kernel: NDArray[Any]) -> NDArray[Any]:
    """What is not the response to the picture itself, in recordings made for the observer alone."""
    parts = []
    for part in range(NOISE_TRIALS // NOISE_PART):
        random = random_of(settings.seed, subject, "observer", part + 1)
        shown = codes[random.integers(0, len(codes), NOISE_PART)]
        rate = settings.sampling_rate
        onsets = np.rint((2 + FACTS.stimulus_interval * np.arange(NOISE_PART)) * rate).astype(np.int64)
        data = np.zeros((len(settings.channels), int(onsets[-1] + 2 * rate)))
        simulate_signal(settings, subject, onsets, shown, data, random)
        parts.append(cut(settings, data, onsets) - shown @ kernel)
    return np.concatenate(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--snr", type=float, help="instead of the frozen one")
    arguments = parser.parse_args()
    place = describe_cpu()
    for name in arguments.settings:
        settings = SETTINGS[name]
        if arguments.snr is not None:
            settings = replace(settings, snr=arguments.snr)
        with tempfile.TemporaryDirectory() as folder:
            found = measure(settings, Path(folder))
        line = {"settings": name, "simulated": True, "snr": settings.snr}
        counts = {"chance": 1 / settings.test_concepts, "repeats": settings.test_repeats}
        print_line("simulation", place, {**line, **counts, **found})


if __name__ == "__main__":
    main()

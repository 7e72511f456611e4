"""Simulated EEG beside recorded EEG: evoked response, topography and spectrum, in one figure.

A folder holds the N170 recordings of one person or more (`sub-XX_run-YY_raw.fif`: dry electrodes at TP9, AF7, AF8 and
TP10, events "face" and "house" at picture onset). The simulator makes the same four channels at the same rate, with
pictures at the same moments, and everything after that is done to both alike. The recorder's reference was at Fpz; the
simulation has no electrode there and is referenced to the mean of its neighbours Fp1 and Fp2. A wireless recorder may
mark a picture later or earlier than the screen showed it; nothing corrects for that.

    python examples/simulated_beside_recorded.py --data FOLDER --out FIGURE.png
"""

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mne
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from PIL import Image
from scipy import signal

from neuroclip_hf import InputError, columns
from neuroclip_hf.data.cutting import cut_epochs
from neuroclip_hf.data.epochs import EpochSettings
from neuroclip_hf.data.recordings import find_recordings, open_recording
from neuroclip_hf.data.simulation import SimulationSettings, planted_codes
from neuroclip_hf.data.simulation.eeg import response_kernel, simulate_signal
from neuroclip_hf.data.simulation.randomness import random_of
from neuroclip_hf.data.things_eeg2 import FACTS
from neuroclip_hf.files import new_file
from neuroclip_hf.logging import set_verbosity

CHANNELS = ("TP9", "AF7", "AF8", "TP10")
REFERENCE = ("Fp1", "Fp2")
EPOCHS = EpochSettings(window=(-0.1, 0.6), baseline=(-0.1, 0.0), band=(1.0, 30.0), reject=100e-6, channels=CHANNELS)
COLOURS = dict(zip(CHANNELS, ("#1f6feb", "#8b949e", "#d29922", "#cf222e"), strict=True))
MOMENTS = (0.105, 0.165, 0.235, 0.3, 0.37)
ELECTRODE_MOMENTS = (0.11, 0.17, 0.22, 0.28)
INK, FAINT = "#1f2328", "#656d76"


@dataclass(frozen=True)
class Found:
    """What one source of recordings shows.

    Args:
        epochs (`numpy.ndarray`): (trials, channels, samples) in microvolts.
        rate (`float`): samples per second.
        frequencies (`numpy.ndarray`): (frequencies,) in Hz.
        power (`numpy.ndarray`): (channels, frequencies) in square microvolts per Hz.
        offered (`int`): pictures shown, before rejection.
    """

    epochs: np.ndarray
    rate: float
    frequencies: np.ndarray
    power: np.ndarray
    offered: int

    @property
    def times(self) -> np.ndarray:
        """(samples,) in seconds from the onset."""
        return EPOCHS.window[0] + np.arange(self.epochs.shape[2]) / self.rate

    @property
    def mean(self) -> np.ndarray:
        """(channels, samples): the evoked response in microvolts."""
        return self.epochs.mean(axis=0)

    @property
    def error(self) -> np.ndarray:
        """(channels, samples): its standard error over trials."""
        return self.epochs.std(axis=0) / np.sqrt(len(self.epochs))


def main() -> int:
    """Draw the figure; the last line on stdout is JSON with the numbers behind it."""
    arguments = _arguments()
    set_verbosity("warning")
    try:
        recordings = read(arguments.data, arguments.subject)
        recorded = look_at(recordings)
        settings = SimulationSettings(
            channels=(*CHANNELS, *REFERENCE),
            sampling_rate=round(recordings[0][0].info["sfreq"]),
            seed=arguments.seed,
            test_concepts=40,
        )
        simulated = look_at(simulate_like(recordings, settings))
        draw(recorded, simulated, settings, arguments.subject, arguments.out)
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"figure": str(arguments.out), "recorded": numbers(recorded), "simulated": numbers(simulated)}))
    return 0


def read(data: Path, subject: str) -> list[tuple[mne.io.BaseRaw, np.ndarray]]:
    """The recordings of a subject, and the onsets of their pictures in samples."""
    files = sorted(data.glob(f"{subject}_run-*_raw.fif"))
    if not files:
        raise InputError(f"{data} holds no {subject}_run-YY_raw.fif: name the folder with --data.")
    opened = [open_recording(file) for file in find_recordings(files)]
    missing = [name for name in CHANNELS if name not in opened[0].raw.ch_names]
    if missing:
        raise InputError(f"{files[0]} has no channel {', '.join(missing)}: name N170 recordings with --data.")
    return [(one.raw, one.events[columns.SAMPLE].to_numpy()) for one in opened]


def simulate_like(
    recordings: Sequence[tuple[mne.io.BaseRaw, np.ndarray]], settings: SimulationSettings
) -> list[tuple[mne.io.BaseRaw, np.ndarray]]:
    """Simulated recordings with pictures at the moments of recorded ones."""
    pictures = planted_codes(settings, columns.TEST)
    made = []
    for run, (raw, onsets) in enumerate(recordings):
        random = random_of(settings.seed, 1, "like a recording", run)
        data = np.zeros((len(settings.channels), raw.n_times))
        simulate_signal(settings, 1, onsets, pictures[random.integers(0, len(pictures), len(onsets))], data, random)
        data = (data[: len(CHANNELS)] - data[len(CHANNELS) :].mean(axis=0)) * 1e-6
        info = mne.create_info(list(CHANNELS), raw.info["sfreq"], "eeg", verbose="ERROR")
        made.append((mne.io.RawArray(data, info, verbose="ERROR"), onsets))
    return made


def look_at(recordings: Sequence[tuple[mne.io.BaseRaw, np.ndarray]]) -> Found:
    """Epochs and spectrum, in the same way whatever the recordings are."""
    epochs = [
        values * 1e6
        for raw, onsets in recordings
        for _, values in cut_epochs(raw, onsets.astype(np.int64), EPOCHS, list(CHANNELS))
    ]
    if not epochs:
        raise InputError(f"No epoch stays below {EPOCHS.reject * 1e6:.0f} uV: name other recordings with --data.")
    rate = recordings[0][0].info["sfreq"]
    spectra = []
    for raw, _ in recordings:
        values = raw.get_data(picks=list(CHANNELS), verbose="ERROR") * 1e6
        # The median over windows leaves out the few in which the electrodes moved.
        frequencies, power = signal.welch(values, rate, nperseg=round(4 * rate), average="median")
        spectra.append(power)
    offered = sum(len(onsets) for _, onsets in recordings)
    return Found(np.concatenate(epochs), rate, frequencies, np.median(spectra, axis=0), offered)


def numbers(found: Found) -> dict[str, Any]:
    """The figure in numbers."""
    at = (found.times > 0.05) & (found.times < 0.5)
    bands = {"1-4": (1, 4), "4-8": (4, 8), "8-12": (8, 12), "13-30": (13, 30), "30-45": (30, 45)}
    power = {
        name: found.power[:, (found.frequencies >= low) & (found.frequencies < high)].mean(axis=1)
        for name, (low, high) in bands.items()
    }
    lowest, highest = found.mean[:, at].argmin(axis=1), found.mean[:, at].argmax(axis=1)
    return {
        "epochs": len(found.epochs),
        "offered": found.offered,
        "lowest_microvolts": dict(zip(CHANNELS, found.mean[:, at].min(axis=1).round(2).tolist(), strict=True)),
        "lowest_at": dict(zip(CHANNELS, found.times[at][lowest].round(3).tolist(), strict=True)),
        "highest_microvolts": dict(zip(CHANNELS, found.mean[:, at].max(axis=1).round(2).tolist(), strict=True)),
        "highest_at": dict(zip(CHANNELS, found.times[at][highest].round(3).tolist(), strict=True)),
        "spread_microvolts": dict(zip(CHANNELS, found.epochs.std(axis=(0, 2)).round(2).tolist(), strict=True)),
        "power": {name: dict(zip(CHANNELS, values.round(3).tolist(), strict=True)) for name, values in power.items()},
    }


def draw(recorded: Found, simulated: Found, settings: SimulationSettings, subject: str, out: Path) -> None:
    """Write the figure; the same scales on both sides."""
    figure = Figure(figsize=(10, 10.4), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    upper, heads, lower = figure.subfigures(3, 1, height_ratios=[6.2, 1.7, 2.5])
    axes = upper.subplots(2, 2, sharey="row")
    titles = (
        ("RECORDED", f"{subject}, reference Fpz: {len(recorded.epochs)} of {recorded.offered} epochs kept"),
        ("SIMULATED", f"reference mean of Fp1, Fp2: {len(simulated.epochs)} of {simulated.offered} epochs kept"),
    )
    for column, (found, (title, words)) in enumerate(zip((recorded, simulated), titles, strict=True)):
        axes[0, column].set_title(f"{title} EEG", color=INK, fontsize=13, fontweight="bold", pad=22)
        axes[0, column].text(0.5, 1.03, words, transform=axes[0, column].transAxes, ha="center", color=FAINT)
        _draw_evoked(axes[0, column], found)
        _draw_spectrum(axes[1, column], found)
    axes[0, 0].set_ylabel("evoked response (µV)\nmean ± 2 standard errors")
    axes[0, 1].legend(loc="upper right", frameon=False, ncols=2, fontsize=9)
    axes[1, 0].set_ylabel("power (µV²/Hz)")
    _draw_electrodes(heads, recorded, simulated)
    _draw_maps(lower, settings)
    _save(figure, out)


def _save(figure: Figure, out: Path) -> None:
    pixels = io.BytesIO()
    figure.savefig(pixels, format="png", dpi=100, metadata={"Software": None})
    with Image.open(pixels) as picture, new_file(out) as temporary:
        # 200 colours are enough for a few lines and maps, and a third of the bytes.
        picture.convert("RGB").quantize(200, dither=Image.Dither.NONE).save(temporary, format="PNG", optimize=True)


def _draw_evoked(axes: Axes, found: Found) -> None:
    milliseconds = found.times * 1000
    for name, mean, error in zip(CHANNELS, found.mean, found.error, strict=True):
        axes.plot(milliseconds, mean, color=COLOURS[name], label=name, linewidth=1.6)
        axes.fill_between(
            milliseconds, mean - 2 * error, mean + 2 * error, color=COLOURS[name], alpha=0.2, linewidth=0
        )
    axes.axvline(0, color=FAINT, linewidth=0.8)
    axes.axhline(0, color=FAINT, linewidth=0.8)
    axes.set(xlabel="time from picture onset (ms)", xlim=(milliseconds[0], milliseconds[-1]))
    _plain(axes)


def _draw_spectrum(axes: Axes, found: Found) -> None:
    shown = (found.frequencies >= 0.5) & (found.frequencies <= 100)
    for name, power in zip(CHANNELS, found.power, strict=True):
        axes.loglog(found.frequencies[shown], power[shown], color=COLOURS[name], linewidth=1.3)
    axes.set(xlabel="frequency (Hz)", xlim=(0.5, 100), xticks=[0.5, 1, 2, 5, 10, 20, 50, 100])
    axes.set_xticklabels(["0.5", "1", "2", "5", "10", "20", "50", "100"])
    axes.grid(color="#d0d7de", linewidth=0.5)
    _plain(axes)


def _draw_electrodes(figure: Any, recorded: Found, simulated: Found) -> None:
    """The four electrodes on a head: recorded left, simulated right, at the same moments."""
    places = [int(np.argmin(np.abs(recorded.times - moment))) for moment in ELECTRODE_MOMENTS]
    limit = float(max(np.abs(found.mean[:, places]).max() for found in (recorded, simulated)))
    halves = figure.subfigures(1, 2, width_ratios=[1, 1.12])
    for half, found, title in zip(halves, (recorded, simulated), ("RECORDED", "SIMULATED"), strict=True):
        half.suptitle(title, fontsize=10, fontweight="bold", color=INK)
        axes = half.subplots(1, len(places))
        for here, moment, place in zip(axes, ELECTRODE_MOMENTS, places, strict=True):
            image = _draw_head(here, found.mean[:, place], limit)
            here.set_title(f"{moment * 1000:.0f} ms", fontsize=9, color=FAINT)
    halves[1].colorbar(image, ax=list(axes), label="µV", aspect=12)


def _draw_head(axes: Axes, values: np.ndarray, limit: float) -> Any:
    """Electrodes as dots, nothing between them: four are too few for a map."""
    places = mne.channels.make_standard_montage(FACTS.montage).get_positions()["ch_pos"]
    x, y, z = (np.array([places[name] for name in CHANNELS]) - [0, -0.015, 0.01]).T
    radius = np.arctan2(np.hypot(x, y), z) / (np.pi / 2)
    turn = np.arctan2(y, x)
    axes.add_patch(Circle((0, 0), 1, fill=False, color=FAINT, linewidth=1))
    axes.plot([-0.12, 0, 0.12], [0.99, 1.14, 0.99], color=FAINT, linewidth=1)
    axes.set(xlim=(-1.55, 1.55), ylim=(-1.25, 1.45), aspect="equal")
    axes.axis("off")
    style = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit, "s": 130, "edgecolors": INK, "linewidths": 0.8}
    return axes.scatter(radius * np.cos(turn), radius * np.sin(turn), c=values, zorder=3, **style)


def _draw_maps(figure: Any, settings: SimulationSettings) -> None:
    """What every simulated picture evokes on all 63 electrodes."""
    whole = SimulationSettings(sampling_rate=1000, seed=settings.seed)
    average = response_kernel(whole, 1)[0]
    info = mne.create_info(list(whole.channels), 1000.0, "eeg", verbose="ERROR")
    info.set_montage(FACTS.montage)
    limit = float(np.abs(average).max())
    axes = figure.subplots(1, len(MOMENTS) + 1, width_ratios=[1] * len(MOMENTS) + [0.07])
    for here, moment in zip(axes, MOMENTS, strict=False):
        image, _ = mne.viz.plot_topomap(
            average[:, round(moment * 1000)],
            info,
            axes=here,
            show=False,
            vlim=(-limit, limit),
            contours=4,
            cmap="RdBu_r",
        )
        here.set_title(f"{moment * 1000:.0f} ms", fontsize=9, color=FAINT)
    figure.colorbar(image, cax=axes[-1], label="µV")
    title = "SIMULATED, 63 electrodes: what every picture evokes, without noise; reference Fz"
    figure.suptitle(title, fontsize=10, fontweight="bold", color=INK)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9, colors=INK)


def _arguments() -> argparse.Namespace:
    real_data = os.environ.get("NEUROCLIP_REAL_DATA")
    default = Path(real_data) / "recordings" / "n170" if real_data else None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=default, required=not real_data, help="folder of the recordings")
    parser.add_argument("--out", type=Path, default=Path("simulated_beside_recorded.png"), help="the PNG to write")
    parser.add_argument("--subject", default="sub-01", help="whose recordings")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""`neuroclip simulate things-eeg2`: made-up recordings in a real dataset's layout."""

from pathlib import Path

import typer

from neuroclip_hf import columns
from neuroclip_hf.cli.options import as_list, print_result
from neuroclip_hf.data.simulation.settings import SimulationSettings
from neuroclip_hf.errors import InputError

app = typer.Typer(help="Write simulated recordings with a planted signal.", no_args_is_help=True)
DEFAULTS = SimulationSettings()


@app.callback()
def _simulate() -> None:
    """Write simulated recordings with a planted signal."""


@app.command("things-eeg2")
def things_eeg2(
    out: Path = typer.Option(..., "--out", help="Folder to make: recordings, pictures and metadata."),
    subjects: str = typer.Option("1", help="Numbers of the subjects, with commas."),
    concepts: int = typer.Option(DEFAULTS.concepts, help="Training concepts."),
    test_concepts: int = typer.Option(DEFAULTS.test_concepts, help="Test concepts, one picture each."),
    images_per_concept: int = typer.Option(DEFAULTS.images_per_concept, help="Pictures of a training concept."),
    train_repeats: int = typer.Option(DEFAULTS.train_repeats, help="Showings of a training picture."),
    test_repeats: int = typer.Option(DEFAULTS.test_repeats, help="Showings of a test picture."),
    sessions: int = typer.Option(DEFAULTS.sessions, help="Recordings of a subject."),
    snr: float = typer.Option(DEFAULTS.snr, help="Root mean square of the pictures' part over the background's."),
    image_size: int = typer.Option(DEFAULTS.image_size, help="Pixels a side."),
    rate: int = typer.Option(DEFAULTS.sampling_rate, help="Sampling rate in Hz."),
    channels: str | None = typer.Option(None, help="Names of EEG channels, with commas; all 63 by default."),
    seed: int = typer.Option(DEFAULTS.seed, help="Equal seeds and settings give equal bytes."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an existing folder."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON line."),
) -> None:
    """Recordings in THINGS-EEG2's raw layout; they are simulated, and say so."""
    from neuroclip_hf.data.simulation.things_eeg2 import simulate_things_eeg2

    settings = simulate_things_eeg2(
        out,
        overwrite=overwrite,
        subjects=_numbers(subjects),
        concepts=concepts,
        test_concepts=test_concepts,
        images_per_concept=images_per_concept,
        train_repeats=train_repeats,
        test_repeats=test_repeats,
        sessions=sessions,
        snr=snr,
        image_size=image_size,
        sampling_rate=rate,
        channels=as_list(channels) or DEFAULTS.channels,
        seed=seed,
    )
    print_result({"recordings": str(out), "data": columns.SIMULATED, **settings.to_dict()}, as_json)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in as_list(text))
    except ValueError:
        raise InputError(f"--subjects {text!r}: write numbers with commas between, as in 1,2.") from None

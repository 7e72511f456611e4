"""`neuroclip simulate`: made-up recordings in the layouts of real datasets."""

from pathlib import Path

import typer

from neuroclip_hf import columns
from neuroclip_hf.cli.options import as_list, as_numbers, print_result
from neuroclip_hf.cli.simulate_god import god
from neuroclip_hf.cli.simulate_meg import meg
from neuroclip_hf.data.simulation.formats import DEFAULT_FORMAT, FORMATS
from neuroclip_hf.data.simulation.settings import SimulationSettings

app = typer.Typer(help="Write simulated recordings with a planted signal.", no_args_is_help=True)
DEFAULTS = SimulationSettings()


@app.callback()
def _simulate() -> None:
    """Write simulated recordings with a planted signal."""


@app.command("things-eeg2")
def things_eeg2(
    out: Path = typer.Option(..., "--out", help="Folder to make: recordings, pictures and metadata."),
    form: str = typer.Option(
        DEFAULT_FORMAT, "--format", metavar="FORMAT", help=f"How the recordings are written: {', '.join(FORMATS)}."
    ),
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
    bad_channels: str | None = typer.Option(None, help="Which of them are bad: flat, noisy or drifting; with commas."),
    seed: int = typer.Option(DEFAULTS.seed, help="Equal seeds and settings give equal bytes."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an existing folder."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON line."),
) -> None:
    """Recordings in THINGS-EEG2's raw layout, or another of its formats; they are simulated, and say so."""
    from neuroclip_hf.data.simulation.things_eeg2 import simulate_things_eeg2

    settings = simulate_things_eeg2(
        out,
        format=form,
        overwrite=overwrite,
        subjects=as_numbers(subjects, "--subjects"),
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
        bad_channels=as_list(bad_channels),
        seed=seed,
    )
    print_result({"recordings": str(out), "data": columns.SIMULATED, "format": form, **settings.to_dict()}, as_json)


app.command("meg")(meg)
app.command("god")(god)

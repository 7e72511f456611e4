"""`neuroclip simulate meg`: made-up MEG as FIF files."""

from pathlib import Path

import typer

from neuroclip_hf import columns
from neuroclip_hf.cli.options import as_list, as_numbers, print_result
from neuroclip_hf.data.simulation.meg import MegSettings

DEFAULTS = MegSettings()


def meg(
    out: Path = typer.Option(..., "--out", help="Folder to make: FIF files, pictures and captions."),
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
    channels: str | None = typer.Option(
        None, help="Names of sensors, with commas, as in MEG001,MEG002; all by default."
    ),
    bad_channels: str | None = typer.Option(None, help="Sensors that are broken, with commas; none by default."),
    seed: int = typer.Option(DEFAULTS.seed, help="Equal seeds and settings give equal bytes."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an existing folder."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON line."),
) -> None:
    """MEG as FIF files whose annotations name pictures; it is simulated, and says so.

    They become a store with: neuroclip prepare recordings OUT/sub-*/ses-*/meg/*_meg.fif --pictures OUT/pictures
    --ignore catch --test-files '*_task-test_meg.fif' --out STORE
    """
    from neuroclip_hf.data.simulation.meg import simulate_meg

    settings = simulate_meg(
        out,
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
    print_result({"recordings": str(out), "data": columns.SIMULATED, **settings.to_dict()}, as_json)

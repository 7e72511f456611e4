"""`neuroclip simulate god`: made-up fMRI in the layout of Generic Object Decoding."""

from pathlib import Path

import typer

from neuroclip_hf import columns
from neuroclip_hf.cli.options import as_numbers, print_result
from neuroclip_hf.data.simulation.god_settings import GodSettings

DEFAULTS = GodSettings()


def god(
    out: Path = typer.Option(..., "--out", help="Folder to make: a file for each subject, pictures and their tables."),
    subjects: str = typer.Option("1", help="Numbers of the subjects, with commas."),
    concepts: int = typer.Option(DEFAULTS.concepts, help="Training concepts."),
    test_concepts: int = typer.Option(DEFAULTS.test_concepts, help="Test concepts, one picture each."),
    images_per_concept: int = typer.Option(DEFAULTS.images_per_concept, help="Pictures of a training concept."),
    test_repeats: int = typer.Option(DEFAULTS.test_repeats, help="Showings of a test picture."),
    imagery_repeats: int = typer.Option(DEFAULTS.imagery_repeats, help="How often a test concept is imagined; or 0."),
    voxels: int = typer.Option(DEFAULTS.voxels, help="Voxels of the visual cortex."),
    snr: float = typer.Option(DEFAULTS.snr, help="Root mean square of the pictures' part over the noise's."),
    image_size: int = typer.Option(DEFAULTS.image_size, help="Pixels a side."),
    seed: int = typer.Option(DEFAULTS.seed, help="Equal seeds and settings give equal bytes."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an existing folder."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON line."),
) -> None:
    """FMRI in the layout of Generic Object Decoding; it is simulated, and says so."""
    from neuroclip_hf.data.simulation.god import simulate_god

    settings = simulate_god(
        out,
        overwrite=overwrite,
        subjects=as_numbers(subjects, "--subjects"),
        concepts=concepts,
        test_concepts=test_concepts,
        images_per_concept=images_per_concept,
        test_repeats=test_repeats,
        imagery_repeats=imagery_repeats,
        voxels=voxels,
        snr=snr,
        image_size=image_size,
        seed=seed,
    )
    print_result({"recordings": str(out), "data": columns.SIMULATED, **settings.to_dict()}, as_json)

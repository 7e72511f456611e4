"""`neuroclip simulate god`: made-up fMRI in the layout of Generic Object Decoding."""

from typing import Annotated

import typer

from neuroclip_hf import columns
from neuroclip_hf.cli import simulate_options as options
from neuroclip_hf.cli.options import as_numbers, print_result
from neuroclip_hf.data.simulation.god_settings import GodSettings

DEFAULTS = GodSettings()
IMAGERY_HELP = "How often a test concept is imagined; 0 leaves imagery out."


def god(
    out: options.Out,
    subjects: options.Subjects = "1",
    concepts: options.Concepts = DEFAULTS.concepts,
    test_concepts: options.TestConcepts = DEFAULTS.test_concepts,
    images_per_concept: options.ImagesPerConcept = DEFAULTS.images_per_concept,
    test_repeats: options.TestRepeats = DEFAULTS.test_repeats,
    imagery_repeats: Annotated[int, typer.Option(help=IMAGERY_HELP)] = DEFAULTS.imagery_repeats,
    voxels: Annotated[int, typer.Option(help="Voxels of the visual cortex.")] = DEFAULTS.voxels,
    snr: options.Snr = DEFAULTS.snr,
    image_size: options.ImageSize = DEFAULTS.image_size,
    seed: options.Seed = DEFAULTS.seed,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Simulated fMRI in the layout of Generic Object Decoding; it says that it is simulated."""
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

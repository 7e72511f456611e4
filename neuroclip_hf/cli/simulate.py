"""`neuroclip simulate`: made-up recordings in the layouts of real datasets."""

from typing import Annotated

import typer

from neuroclip_hf import columns
from neuroclip_hf.cli import simulate_options as options
from neuroclip_hf.cli.options import as_list, as_names, as_numbers, print_result
from neuroclip_hf.cli.simulate_god import god
from neuroclip_hf.cli.simulate_meg import meg
from neuroclip_hf.data.simulation.settings import SimulationSettings

app = typer.Typer(help="Write simulated recordings with a planted signal.", no_args_is_help=True)
DEFAULTS = SimulationSettings()
FORMAT_HELP = "How the recordings are written: raw, brainvision, release, nice, ubp or neurobridge."


@app.callback()
def _simulate() -> None:
    """Write simulated recordings with a planted signal."""


@app.command("things-eeg2")
def things_eeg2(
    out: options.Out,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help=FORMAT_HELP)] = "raw",
    subjects: options.Subjects = "1",
    concepts: options.Concepts = DEFAULTS.concepts,
    test_concepts: options.TestConcepts = DEFAULTS.test_concepts,
    images_per_concept: options.ImagesPerConcept = DEFAULTS.images_per_concept,
    train_repeats: options.TrainRepeats = DEFAULTS.train_repeats,
    test_repeats: options.TestRepeats = DEFAULTS.test_repeats,
    sessions: options.Sessions = DEFAULTS.sessions,
    snr: options.Snr = DEFAULTS.snr,
    image_size: options.ImageSize = DEFAULTS.image_size,
    rate: options.Rate = DEFAULTS.sampling_rate,
    channels: options.Channels = None,
    bad_channels: options.BadChannels = None,
    seed: options.Seed = DEFAULTS.seed,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """EEG in THINGS-EEG2's raw layout, or another of its formats; it is simulated, and says so."""
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
        channels=as_names(channels, DEFAULTS.channels, "--channels"),
        bad_channels=as_list(bad_channels, "--bad-channels"),
        seed=seed,
    )
    print_result({"recordings": str(out), "data": columns.SIMULATED, "format": form, **settings.to_dict()}, as_json)


app.command("meg")(meg)
app.command("god")(god)

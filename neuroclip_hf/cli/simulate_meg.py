"""`neuroclip simulate meg`: made-up MEG as FIF files."""

from neuroclip_hf import columns
from neuroclip_hf.cli import simulate_options as options
from neuroclip_hf.cli.options import as_list, as_names, as_numbers, print_result
from neuroclip_hf.data.simulation.meg_settings import MegSettings

DEFAULTS = MegSettings()


def meg(
    out: options.Out,
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
        channels=as_names(channels, DEFAULTS.channels, "--channels"),
        bad_channels=as_list(bad_channels, "--bad-channels"),
        seed=seed,
    )
    print_result({"recordings": str(out), "data": columns.SIMULATED, **settings.to_dict()}, as_json)

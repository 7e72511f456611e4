"""`neuroclip prepare recordings|arrays|things-eeg2|god|fmri`: whatever one has -> a trial store."""

from pathlib import Path
from typing import Any

import typer

from neuroclip_hf import columns
from neuroclip_hf.cli.options import as_list, as_mapping, as_names, as_numbers, as_open_range, as_range, print_result
from neuroclip_hf.cli.prepare_fmri import fmri
from neuroclip_hf.cli.prepare_god import god
from neuroclip_hf.errors import InputError

app = typer.Typer(help="Make a trial store from recordings, scans, arrays or a dataset.", no_args_is_help=True)
app.command("god")(god)
app.command("fmri")(fmri)

OUT = typer.Option(..., "--out", help="The trial store to make.")
OVERWRITE = typer.Option(False, "--overwrite", help="Replace an existing store.")
REDISTRIBUTE = typer.Option(False, "--pictures-may-be-shared", help="The pictures may be redistributed.")
JSON = typer.Option(False, "--json", help="Print the result as one JSON line.")
PROTOCOL = typer.Option(
    columns.NEW_CONCEPTS,
    "--protocol",
    help="What training and test may share: new-concepts (nothing), new-pictures (concepts), new-trials (pictures).",
)
CHANNELS = typer.Option(None, "--channels", help="Channel names with commas; all EEG (or MEG) channels by default.")


@app.command("recordings")
def recordings(
    files: list[Path] = typer.Argument(..., help="Recordings (FIF, BrainVision, EDF, ...) or BIDS folders."),
    pictures: Path = typer.Option(
        ..., "--pictures", "--images", help="Folder of pictures; a folder in it is a concept."
    ),
    out: Path = OUT,
    window: str = typer.Option("0,1", help="Seconds around the onset that are kept; the end is not included."),
    baseline: str = typer.Option("-0.2,0", help="Seconds whose mean is subtracted, or none."),
    rate: float | None = typer.Option(None, help="Resample epochs to this rate in Hz; the recordings' by default."),
    band: str = typer.Option("none", "--filter", help="Pass band in Hz, as in 1,30 or ,40; none by default."),
    reject: float | None = typer.Option(None, help="Drop epochs whose peak-to-peak exceeds this, in microvolts."),
    channels: str | None = CHANNELS,
    test_files: str | None = typer.Option(None, help="Recordings that test: names or patterns with commas."),
    validation_files: str | None = typer.Option(None, help="Recordings that validate."),
    test_concepts: str | None = typer.Option(None, help="Concepts whose trials all test."),
    test_part: float = typer.Option(0.0, help="Last part, in time, of each training recording that tests, as in 0.3."),
    validation_part: float = typer.Option(0.0, help="Last part of the rest that validates."),
    protocol: str = PROTOCOL,
    held_out_pictures: float = typer.Option(
        0.25, help="Part of each concept's pictures kept for the test gallery, where events name only concepts."
    ),
    events: str | None = typer.Option(None, help="Meaning of events, as in 'Stimulus/S  1=face,Stimulus/S  2=house'."),
    ignore: str | None = typer.Option(None, help="Events to leave out: names or patterns with commas."),
    subject: str | None = typer.Option(None, help="Whose recordings they are, where file names do not say sub-XX."),
    seed: int = typer.Option(0, help="Chooses the held-out pictures."),
    redistribute: bool = REDISTRIBUTE,
    overwrite: bool = OVERWRITE,
    as_json: bool = JSON,
) -> None:
    """Your own recordings, whose annotations or events name a picture or a folder of pictures."""
    from neuroclip_hf.data.description import summarise_store
    from neuroclip_hf.data.epochs import EpochSettings
    from neuroclip_hf.data.sources.recordings import SplitSettings, prepare_recordings

    made = prepare_recordings(
        files,
        pictures,
        out,
        epochs=EpochSettings(
            window=_window(window),
            baseline=as_range(baseline, "--baseline"),
            sampling_rate=rate,
            band=as_open_range(band, "--filter"),
            reject=None if reject is None else reject * 1e-6,
            channels=as_names(channels, (), "--channels"),
        ),
        splits=SplitSettings(
            protocol=protocol,
            test_files=as_list(test_files, "--test-files"),
            validation_files=as_list(validation_files, "--validation-files"),
            test_concepts=as_list(test_concepts, "--test-concepts"),
            test_part=test_part,
            validation_part=validation_part,
            held_out_pictures=held_out_pictures,
            seed=seed,
        ),
        event_names=as_mapping(events, "--events"),
        ignore=as_list(ignore, "--ignore"),
        subject=subject,
        redistribute_pictures=redistribute,
        overwrite=overwrite,
    )
    print_result(summarise_store(made), as_json)


@app.command("arrays")
def arrays(
    file: Path = typer.Argument(
        ..., help="An .npz with brain, images or image_files, image_id, ... (see the README)."
    ),
    out: Path = OUT,
    protocol: str = PROTOCOL,
    names: str | None = typer.Option(
        None, "--arrays", help="What the file calls an array, where the name is another: brain=bold,concept=category."
    ),
    leave_out: str | None = typer.Option(None, help="Labels whose trials are left out, with commas, as in rest."),
    test_runs: str | None = typer.Option(None, help="Runs that test, with commas; for a file without split."),
    test_part: float = typer.Option(
        0.0, help="Part of what the protocol tests anew that tests: concepts, pictures or trials; likewise."
    ),
    scale_runs: bool = typer.Option(
        False, "--scale-runs", help="Take a line in time and a scale out of each voxel in each run by itself."
    ),
    seed: int = typer.Option(0, help="Draws what --test-part holds out."),
    window_start: float = typer.Option(0.0, help="Seconds from the onset to the first sample."),
    drop_bad_voxels: bool = typer.Option(
        False, "--drop-bad-voxels", help="Leave out voxels that hold NaN or never change, and say so."
    ),
    simulated: bool = typer.Option(False, "--simulated", help="The trials were made up: every report will say so."),
    overwrite: bool = OVERWRITE,
    as_json: bool = JSON,
) -> None:
    """Epochs or voxel patterns that you already have, with their pictures, in one .npz."""
    from neuroclip_hf.data.description import summarise_store
    from neuroclip_hf.data.sources.array_reading import ArrayReading
    from neuroclip_hf.data.sources.arrays import prepare_arrays

    made = prepare_arrays(
        file,
        out,
        protocol=protocol,
        reading=ArrayReading(
            names=as_mapping(names, "--arrays"),
            leave_out=as_list(leave_out, "--leave-out"),
            test_runs=() if test_runs is None else as_numbers(test_runs, "--test-runs"),
            test_part=test_part,
            seed=seed,
            scale_runs=scale_runs,
        ),
        window_start=window_start,
        drop_bad_voxels=drop_bad_voxels,
        simulated=simulated,
        overwrite=overwrite,
    )
    print_result(summarise_store(made), as_json)


@app.command("things-eeg2")
def things_eeg2(
    source: Path = typer.Option(
        ...,
        "--source",
        help="Folder of sub-01, sub-02, ...: raw .npy or BrainVision files of each session, or epochs as the release, "
        "NICE, ATM, UBP, NeuroBridge or SAMGA have them. Which it is, is seen from the files.",
    ),
    out: Path = OUT,
    images: Path | None = typer.Option(
        None, "--pictures", "--images", help="Folder with training_images and test_images; the source by default."
    ),
    subjects: str | None = typer.Option(None, help="Subjects with commas, as in 1,2; all by default."),
    channels: str = typer.Option("occipital", help="occipital (17 channels), all, or names with commas."),
    window: str | None = typer.Option(
        None,
        help="Seconds around the onset that are kept; the end is not included. 0,1 by default; of epochs that are "
        "already cut, all, and only a part of it can be asked for.",
    ),
    baseline: str | None = typer.Option(
        None, help="Seconds whose mean is subtracted, or none; -0.2,0 by default. Only for recordings."
    ),
    rate: float | None = typer.Option(
        None, help="Resample epochs to this rate in Hz; 250 by default. Only for recordings."
    ),
    whitening: str | None = typer.Option(
        None,
        help="Noise normalisation: session (by default; fitted on the training epochs of the same session), "
        "training-subjects (on those of all other subjects of the store) or none. Only for recordings.",
    ),
    allow_missing: bool = typer.Option(
        False, "--allow-missing", help="Warn of missing recordings and stimulus codes in store.json, and go on."
    ),
    redistribute: bool = REDISTRIBUTE,
    overwrite: bool = OVERWRITE,
    as_json: bool = JSON,
) -> None:
    """THINGS-EEG2 (or a simulation of it). Killed and started again, it goes on after the last finished session."""
    from neuroclip_hf.data.description import summarise_store
    from neuroclip_hf.data.sources.things_eeg2 import choose_epochs, prepare_things_eeg2

    given: dict[str, Any] = {}
    if window is not None:
        given["window"] = _window(window)
    if baseline is not None:
        given["baseline"] = as_range(baseline, "--baseline")
    if rate is not None:
        given["sampling_rate"] = rate
    made = prepare_things_eeg2(
        source,
        out,
        images=images,
        subjects=as_list(subjects, "--subjects"),
        channels=as_names(channels, (), "--channels"),
        epochs=choose_epochs(source, images, **given) if given else None,
        whitening=whitening,
        allow_missing=allow_missing,
        redistribute_pictures=redistribute,
        overwrite=overwrite,
    )
    print_result(summarise_store(made), as_json)


def _window(text: str) -> tuple[float, float]:
    window = as_range(text, "--window")
    if window is None:
        raise InputError(f"--window {text!r}: write two numbers with a comma between, as in 0,1.")
    return window

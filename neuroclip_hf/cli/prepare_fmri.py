"""`neuroclip prepare fmri`: one's own scans -> a trial store."""

from pathlib import Path
from typing import Annotated

import typer

from neuroclip_hf import columns
from neuroclip_hf.cli.options import as_list, as_range, print_result
from neuroclip_hf.errors import InputError


def fmri(
    runs: Annotated[
        Path,
        typer.Argument(help="Table of subject, session, run, bold, events; and split, confounds, mask, atlas."),
    ],
    pictures: Annotated[
        Path, typer.Option("--images", "--pictures", help="Folder of pictures; a folder in it is a concept.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The trial store to make.")],
    mask: Annotated[
        Path | None, typer.Option(help="Mask for all subjects that have none in the table; else nilearn finds one.")
    ] = None,
    atlas: Annotated[Path | None, typer.Option(help="Image of labels: the regions of interest.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Table that names the labels: index, name.")] = None,
    captions: Annotated[Path | None, typer.Option(help="JSON or CSV of captions by picture.")] = None,
    method: Annotated[
        str, typer.Option(help="lsa or lss (single-trial weights of a linear model), mean of a window, or betas.")
    ] = "lsa",
    hrf: Annotated[str, typer.Option(help="Response that a trial is convolved with: spm or glover.")] = "spm",
    high_pass: Annotated[float, typer.Option(help="Hz below which drifts are modelled; 0 for none.")] = 0.01,
    delay: Annotated[str, typer.Option(help="Seconds after the onset that --method mean averages.")] = "4,8",
    percent: Annotated[bool, typer.Option(help="Count in percent of each voxel's mean over the run.")] = True,
    tr: Annotated[float | None, typer.Option(help="Repetition time in seconds; the headers' by default.")] = None,
    scale_runs: Annotated[
        bool,
        typer.Option(
            "--scale-runs", help="Take a line and a scale out of each voxel's patterns in each run by itself."
        ),
    ] = False,
    confounds: Annotated[
        str | None, typer.Option(help="Columns of the confounds' tables, with commas; all by default.")
    ] = None,
    ignore: Annotated[str | None, typer.Option(help="Events to leave out: names or patterns with commas.")] = None,
    protocol: Annotated[
        str,
        typer.Option(help="What training and test may share: new-concepts, new-pictures, new-trials."),
    ] = columns.NEW_CONCEPTS,
    drop_bad_voxels: Annotated[
        bool, typer.Option("--drop-bad-voxels", help="Leave out voxels that hold NaN or never change, and say so.")
    ] = False,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="The scans were made up: every report will say so.")
    ] = False,
    redistribute: Annotated[
        bool, typer.Option("--pictures-may-be-shared", help="The pictures may be redistributed.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing store.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON line.")] = False,
) -> None:
    """Your own preprocessed scans (NIfTI) with their events: one pattern of voxels a trial, through nilearn."""
    from neuroclip_hf.data.description import summarise_store
    from neuroclip_hf.data.responses import ResponseSettings
    from neuroclip_hf.data.sources.fmri import prepare_fmri

    window = as_range(delay, "--delay")
    if window is None:
        raise InputError(f"--delay {delay!r}: write two numbers of seconds with a comma between, as in 4,8.")
    made = prepare_fmri(
        runs,
        out,
        pictures=pictures,
        mask=mask,
        atlas=atlas,
        labels=labels,
        captions=captions,
        responses=ResponseSettings(method, hrf, high_pass, window, percent, tr, scale_runs),
        confounds=as_list(confounds, "--confounds"),
        ignore=as_list(ignore, "--ignore"),
        protocol=protocol,
        drop_bad_voxels=drop_bad_voxels,
        simulated=simulated,
        redistribute_pictures=redistribute,
        overwrite=overwrite,
    )
    print_result(summarise_store(made), as_json)

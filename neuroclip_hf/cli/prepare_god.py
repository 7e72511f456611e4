"""`neuroclip prepare god`: Generic Object Decoding -> a trial store."""

from pathlib import Path
from typing import Annotated

import typer

from neuroclip_hf.cli.options import as_list, print_result


def god(
    source: Annotated[
        Path,
        typer.Argument(help="Folder of Subject1.h5, Subject2.h5, ..., or of BraVL's release; seen from the files."),
    ],
    out: Annotated[Path, typer.Option("--out", help="The trial store to make.")],
    subjects: Annotated[str | None, typer.Option(help="Subjects with commas, as in 1,2; all by default.")] = None,
    rois: Annotated[
        str | None,
        typer.Option(help="Keep only the voxels of these areas or regions, as in V1,LOC; all voxels by default."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option("--images", "--pictures", help="Folder with training and test; SOURCE/images by default."),
    ] = None,
    captions: Annotated[
        Path | None, typer.Option(help="JSON or CSV of captions by picture; SOURCE/captions.json by default.")
    ] = None,
    category_names: Annotated[
        Path | None,
        typer.Option(help="JSON or CSV of words by WordNet id; SOURCE/category_names.json by default."),
    ] = None,
    drop_bad_voxels: Annotated[
        bool,
        typer.Option("--drop-bad-voxels", help="Leave out voxels that hold NaN or never change, and say so."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing store.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON line.")] = False,
) -> None:
    """Generic Object Decoding (or a simulation of it): training, perception and imagery, voxels with their regions."""
    from neuroclip_hf.data.description import summarise_store
    from neuroclip_hf.data.sources.god import prepare_god

    made = prepare_god(
        source,
        out,
        subjects=as_list(subjects, "--subjects"),
        rois=as_list(rois, "--rois"),
        images=images,
        captions=captions,
        category_names=category_names,
        drop_bad_voxels=drop_bad_voxels,
        overwrite=overwrite,
    )
    print_result(summarise_store(made), as_json)

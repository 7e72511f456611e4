"""`neuroclip train`: a recipe and a store -> a run."""

from pathlib import Path

import typer

from neuroclip_hf import columns
from neuroclip_hf.cli.options import print_result


def train(
    recipe: str = typer.Argument(..., help="Name of a recipe, or a .yaml file."),
    overrides: list[str] | None = typer.Argument(
        None,
        help="Settings to change, as in epochs=20 seed=1. "
        f"Who trains: split={'|'.join(columns.SUBJECT_SPLITS)}, subjects=, held_out_subject=. "
        f"Which trials choose the epoch: validation={'|'.join(columns.VALIDATIONS)}. "
        f"Which meet in a batch: sampling={'|'.join(columns.SAMPLINGS)}.",
    ),
    data: Path = typer.Option(..., "--data", help="The trial store to train on."),
    out: Path = typer.Option(..., "--out", help="Folder of the run: checkpoint, processor, recipe, log, README."),
    control: bool = typer.Option(False, "--control", help="Also train a control on shuffled pairs."),
    image_features: Path | None = typer.Option(
        None,
        "--image-features",
        help="Folder where pictures encoded by the frozen tower are kept, so that no other run encodes them again.",
    ),
    overwrite: bool = typer.Option(
        False, "--overwrite", help="Replace an existing run; start an unfinished one afresh."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON line."),
) -> None:
    """Train a model; validation chooses the epoch, the test split is not looked at.

    A training that was stopped goes on with the same command, after its newest checkpoint (checkpoint_minutes=); after
    a finished one it does nothing. On
    several GPUs: torchrun --nproc_per_node 4 -m neuroclip_hf.cli.main train ...; batch_size is that of all together.
    """
    from neuroclip_hf.data.store import TrialStore
    from neuroclip_hf.files import read_json, refuse_existing
    from neuroclip_hf.training.settings import load_recipe, parse_overrides

    settings = load_recipe(recipe, parse_overrides(overrides or []))
    store = TrialStore(data)

    from neuroclip_hf.protocols.finished import is_finished
    from neuroclip_hf.protocols.run import train_run
    from neuroclip_hf.run_files import RUN_FILE
    from neuroclip_hf.sharing.card import write_card
    from neuroclip_hf.training.processes import this_process

    if not is_finished(out):  # a finished run is compared with what is asked for
        refuse_existing(out, overwrite)
    run = train_run(
        settings,
        store,
        out,
        control=control,
        overwrite=overwrite,
        finish=lambda folder: write_card(folder, str(out)),
        image_features=image_features,
    )
    if not this_process().is_main_process:  # the run lies where the first process is
        return
    facts = read_json(run / RUN_FILE)
    keys = (
        "recipe",
        "seed",
        "protocol",
        "data",
        "split",
        "subjects",
        "held_out_subject",
        "best_epoch",
        "epochs",
        "trainable_parameters",
        "seconds",
    )
    print_result({"run": str(run), **{key: facts[key] for key in keys}}, as_json)

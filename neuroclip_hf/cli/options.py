"""What several verbs share: options, reading lists and ranges, printing results."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuroclip_hf.errors import InputError

if TYPE_CHECKING:
    from neuroclip_hf.data.store import TrialStore
    from neuroclip_hf.training.settings import Recipe

NOTHING = ("none", "off")

RecipeName = Annotated[str, typer.Argument(help="Name of a recipe, or a .yaml file.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="Settings to change in all runs, as in epochs=20.")]
Data = Annotated[Path, typer.Option("--data", help="The trial store.")]
Seeds = Annotated[int, typer.Option("--seeds", help="Trainings of each subject; the first has the recipe's seed.")]
Subjects = Annotated[str | None, typer.Option("--subjects", help="With commas; all of the store by default.")]
EngineName = Annotated[str, typer.Option("--engine", help="local, or slurm.")]
Processes = Annotated[
    int, typer.Option("--processes", help="Runs that are made at once; local ones as far as memory allows.")
]
Job = Annotated[
    str | None,
    typer.Option("--job", help="Of a submitted job, as in slurm_partition=gpu,gpus_per_node=1,timeout_min=600."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as one JSON line.")]


def open_recipe_and_store(recipe: str, overrides: list[str] | None, data: Path) -> "tuple[Recipe, TrialStore]":
    """What is trained and on what, before anything that takes long is imported.

    Raises:
        InputError: if one of them cannot be read.
    """
    from neuroclip_hf.data.store import TrialStore
    from neuroclip_hf.training.settings import load_recipe, parse_overrides

    settings = load_recipe(recipe, parse_overrides(overrides or []))
    return settings, TrialStore(data)


def make_and_print(
    make: Callable[..., Any],
    shown: Callable[[dict[str, Any]], Any],
    settings: "Recipe",
    store: "TrialStore",
    out: Path,
    *,
    subjects: str | None,
    engine: str,
    processes: int,
    job: str | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Make the many runs of a verb, and print their report where this process has it.

    Args:
        make (callable): `reproduce` or `ablate` of the package.
        shown (callable): report -> table.
        settings (`Recipe`): from [`open_recipe_and_store`].
        store (`TrialStore`): likewise.
        out (`Path`): folder of the report.
        subjects (`str`, *optional*): as it was typed.
        engine (`str`): its name.
        processes (`int`): runs that are made at once.
        job (`str`, *optional*): as it was typed.
        as_json (`bool`): print one line instead of the table.
        asked: what else `make` is told.

    Raises:
        InputError: for an option that cannot be read, or runs that cannot be made so.
    """
    from neuroclip_hf.protocols.reproduce.engine import Engine

    names = as_list(subjects, "--subjects") or None
    workers = Engine(engine, processes, as_job_parameters(job, "--job"))
    report = make(settings, store, out, subjects=names, engine=workers, **asked)
    if report is not None:
        values = report.to_dict()
        print_result(values, as_json, shown(values))


def as_list(text: str | None, option: str) -> tuple[str, ...]:
    """`"1,2"` -> `("1", "2")`; one entry is a list too; None and "" are empty, an empty entry is refused."""
    if not (text or "").strip():
        return ()
    parts = tuple(part.strip() for part in (text or "").split(","))
    if not all(parts):
        raise InputError(f"{option} {text!r}: an entry is empty: write one comma between two entries.")
    return parts


def as_numbers(text: str, option: str) -> tuple[int, ...]:
    """`"1,2"` -> `(1, 2)`."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} {text!r}: write whole numbers with commas between, as in 1,2.") from None


def as_names(text: str | None, default: Sequence[str], option: str) -> tuple[str, ...]:
    """`"a,b"` -> `("a", "b")`; None -> `default`; an empty list is refused."""
    if text is not None and not as_list(text, option):
        raise InputError(f"{option} {text!r}: name at least one, or leave the option out.")
    return as_list(text, option) or tuple(default)


def as_mapping(text: str | None, option: str) -> dict[str, str]:
    """`"a=x,b=y"` -> `{"a": "x", "b": "y"}`."""
    pairs = [part.partition("=") for part in as_list(text, option)]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise InputError(f"{option} {text!r}: write NAME=MEANING pairs with commas between.")
    return {name: value for name, _, value in pairs}


def as_job_parameters(text: str | None, option: str) -> dict[str, Any]:
    """`"gpus_per_node=1,slurm_partition=gpu"` -> `{"gpus_per_node": 1, "slurm_partition": "gpu"}`."""
    pairs = as_mapping(text, option)
    if "name" in pairs:
        raise InputError(f"{option} name=...: jobs are called neuroclip; leave it out.")
    return {name: int(value) if value.isdigit() else value for name, value in pairs.items()}


def as_range(text: str, option: str) -> tuple[float, float] | None:
    """`"-0.1,0.8"` -> `(-0.1, 0.8)`; "none" -> None."""
    if text in NOTHING:
        return None
    low, high = as_open_range(text, option)
    if low is None or high is None:
        raise InputError(f"{option} {text!r}: write two numbers with a comma between, or none.")
    return low, high


def as_open_range(text: str, option: str) -> tuple[float | None, float | None]:
    """`"1,30"` -> `(1.0, 30.0)`, `",30"` -> `(None, 30.0)`; "none" -> `(None, None)`."""
    if text in NOTHING:
        return None, None
    low, comma, high = text.partition(",")
    try:
        if not comma:
            raise ValueError
        return float(low) if low.strip() else None, float(high) if high.strip() else None
    except ValueError:
        raise InputError(f"{option} {text!r}: write two numbers with a comma between, as in 1,30.") from None


def print_result(result: dict[str, Any], as_json: bool, table: Any = None) -> None:
    """Print a result to stdout: one JSON line, or a table (by default of its entries)."""
    if as_json:
        print(json.dumps(result, allow_nan=False))
        return
    from rich.console import Console

    # Names come from files: [brackets] and :colons: in them are neither styles nor emoji.
    Console(file=sys.stdout, soft_wrap=True, markup=False, emoji=False).print(
        two_columns(result) if table is None else table
    )


def two_columns(entries: dict[str, Any], title: str | None = None) -> Any:
    """A table of names and values."""
    return table((), [(name, _text(value)) for name, value in entries.items()], title)


def spread(found: dict[str, Any]) -> str:
    """`{"mean": 0.5, "std": 0.01}` -> "0.500 ± 0.010"; without a standard deviation the mean alone."""
    deviation = "" if found["std"] is None else f" ± {found['std']:.3f}"
    return f"{found['mean']:.3f}{deviation}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> Any:
    """A table of texts: the first column aligned left, the others right; an empty header is not shown."""
    from rich import box
    from rich.table import Table

    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_header=bool(header))
    for place in range(len(rows[0]) if rows else len(header)):
        name = header[place] if header else ""
        made.add_column(name, justify="left" if place == 0 or not header else "right", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def interval_text(found: dict[str, Any], sign: str = "") -> str:
    """`{"low": 0.2, "high": 0.4}` -> "0.200 to 0.400"; `sign` "+" writes the signs too."""
    return f"{found['low']:{sign}.3f} to {found['high']:{sign}.3f}"


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)

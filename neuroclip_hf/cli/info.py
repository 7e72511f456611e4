"""`neuroclip info`: what a trial store holds, and how it was made."""

from pathlib import Path
from typing import Any

import typer

from neuroclip_hf import columns
from neuroclip_hf.cli.options import print_result, table


def info(
    store: Path = typer.Argument(..., help="The trial store."),
    as_json: bool = typer.Option(False, "--json", help="Print it as one JSON line."),
) -> None:
    """Say what a store holds and how it was made; `neuroclip check` says whether it is whole."""
    from rich.console import Group

    from neuroclip_hf.data.description import describe_store

    values = describe_store(store)
    print_result(values, as_json, None if as_json else Group(_subjects_table(values), _made_table(values)))


def _subjects_table(values: dict[str, Any]) -> Any:
    rows = []
    for subject, splits in values["subjects"].items():
        for split, found in splits.items():
            fewest, most = found["fewest_repeats"], found["most_repeats"]
            repeats = str(most) if fewest == most else f"{fewest} to {most}"
            counts = (f"{found[name]:,}" for name in ("trials", "targets", "concepts", "sessions"))
            rows.append((f"{subject} {split}", *counts, repeats))
    title = f"{values['store']}: {values['data']} {values['modality']}, {values['protocol']}"
    what = "concepts shown" if values["target"] == columns.CONCEPT_TARGET else "pictures shown"
    return table(("", "trials", what, "concepts", "sessions", "repeats"), rows, title)


def _made_table(values: dict[str, Any]) -> Any:
    from neuroclip_hf.data.leftovers import Leftover

    galleries = (
        f"{split}: {found['pictures']:,} pictures of {found['concepts']:,} concepts"
        for split, found in values["galleries"].items()
    )
    channels = values["channels"]
    some = ", ".join(channels) if len(channels) <= 64 else f"{', '.join(channels[:3])}, ..."
    window = values["window"]
    shared = "may be redistributed" if values["redistribute_pictures"] else "may not be redistributed"
    rows = [
        ("fingerprint", values["fingerprint"]),
        ("source", values["source"]),
        ("recordings", f"{len(values['sources'])} files"),
        ("galleries", "; ".join(galleries)),
        *([("channels", f"{len(channels)}: {some}")] if channels else []),
        *((f"channels of {name}", _regions(found)) for name, found in values.get("channels_by_subject", {}).items()),
        ("sampling rate", "none (patterns)" if values["sampling_rate"] is None else f"{values['sampling_rate']:g} Hz"),
        ("samples", "none (patterns)" if window is None else _samples(values["num_timesteps"], *window)),
        ("unit", values["unit"]),
        ("whitening", "none" if values["whitening_fit"] is None else f"fitted on {values['whitening_fit']}"),
        ("pictures", shared),
        *(("setting", f"{name} = {value}") for name, value in flat(values["settings"])),
        *(("version", f"{name} {value}") for name, value in values["versions"].items()),
        *(("warning", text) for text in values["warnings"]),
        *(("left over", str(Leftover(**one))) for one in values["leftovers"]),
    ]
    return table((), rows)


def _regions(found: dict[str, Any]) -> str:
    rois = ", ".join(f"{name} {count:,}" for name, count in found["rois"].items())
    return f"{found['channels']:,}" + (f" (in regions: {rois})" if rois else "")


def _samples(count: int, start: float, stop: float) -> str:
    return f"{count} from {start:g} s to before {stop:g} s"


def flat(settings: dict[str, Any], above: str = "") -> list[tuple[str, Any]]:
    """`{"epochs": {"band": None}}` -> `[("epochs.band", None)]`."""
    found: list[tuple[str, Any]] = []
    for name, value in settings.items():
        found += flat(value, f"{above}{name}.") if isinstance(value, dict) and value else [(f"{above}{name}", value)]
    return found

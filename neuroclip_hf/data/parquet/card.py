"""README.md of an exported store: front matter with the configs that `load_dataset` reads, and what a reader needs."""

from typing import Any

import yaml

from neuroclip_hf import columns
from neuroclip_hf.data.parquet import layout
from neuroclip_hf.data.parquet.layout import ExportInfo
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_layout import CHANNELS_FILE, array_of
from neuroclip_hf.data.terms import PUBLISHED


def dataset_card(
    store: TrialStore,
    info: ExportInfo,
    repo_id: str | None = None,
    revision: str | None = None,
    licence: str | None = None,
) -> str:
    """The card of an export, or of a dataset on the Hub.

    Args:
        store (`TrialStore`): that was exported.
        info (`ExportInfo`): what the export says of itself.
        repo_id (`str`, *optional*): its name on the Hub, where it goes there.
        revision (`str`, *optional*): its branch there, where that is not the one that is loaded by default.
        licence (`str`, *optional*): of the recordings, as the Hub spells it: "cc-by-4.0".
    """
    front = {
        **({"license": licence} if licence else {}),
        "tags": ["neuroclip_hf", store.info.modality, store.info.data],
        "configs": configs(info, store.has_channel_table),
    }
    head = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    values = _values_by_subject(store) if store.has_channel_table else _values(store)
    load, back = _load(store, info, repo_id, revision), _back(info, repo_id, revision)
    parts = [_what(store), load, values, _pictures(store, info), _rights(store, licence), back]
    return f"---\n{head}---\n\n" + "\n\n".join(parts) + "\n"


def configs(info: ExportInfo, channel_table: bool = False) -> list[dict[str, Any]]:
    """One config a subject with its splits, then the channel table's if the store has one, and the pictures' last."""
    of_subject: dict[str, list[dict[str, str]]] = {}
    for name in info.shards:
        subject, split = array_of(name)
        files = {"split": split, "path": f"{layout.TRIALS}/{subject}/{split}-*.parquet"}
        of_subject.setdefault(subject, []).append(files)
    if channel_table:
        table = {"split": layout.CHANNELS_SPLIT, "path": f"{layout.STORE}/{CHANNELS_FILE}"}
        of_subject[layout.CHANNELS_CONFIG] = [table]
    pictures = {"split": layout.PICTURES_SPLIT, "path": f"{layout.PICTURES}/{layout.PICTURES_SPLIT}-*.parquet"}
    of_subject[layout.PICTURES_CONFIG] = [pictures]
    return [{"config_name": name, "data_files": files} for name, files in of_subject.items()]


def _what(store: TrialStore) -> str:
    said = store.info
    first = (
        "Simulated recordings: numbers from them say nothing about brains.\n\n"
        if said.data == columns.SIMULATED
        else ""
    )
    splits = store.trials[columns.SPLIT].value_counts()
    counts = ", ".join(f"{split} {splits[split]:,}" for split in columns.SPLITS if split in splits)
    rate = "" if said.sampling_rate is None else f" at {said.sampling_rate:g} Hz"
    shapes = dict.fromkeys(store.trial_shape(subject) for subject in store.subjects)
    shape = ", ".join(" x ".join(map(str, one)) for one in shapes)
    what = "(channels, samples)" if said.num_timesteps is not None else "(voxels)"
    lines = [
        f"Trials of {len(store.subjects)} subject{'s' if len(store.subjects) > 1 else ''} who saw pictures, "
        f"prepared by `neuroclip_hf` (store {said.fingerprint}).",
        "",
        f"- data: {said.data}, {said.modality}, made from {said.source}",
        f"- trials: {counts}",
        f"- a trial: {shape} {what}{rate}",
        f"- protocol: {said.protocol} (what training and test may share)",
        f"- whitening: {'none' if said.whitening_fit is None else 'fitted on ' + said.whitening_fit}",
        *(f"- note: {warning}" for warning in said.warnings),
    ]
    return f"{first}# Brain recordings and pictures\n\n" + "\n".join(lines)


def _load(store: TrialStore, info: ExportInfo, repo_id: str | None, revision: str | None) -> str:
    here = f'here = "{repo_id}"' if repo_id else "here = str(Path.cwd())  # this folder, or its name on the Hub"
    path = "" if repo_id else "from pathlib import Path\n\n"
    at = f', revision="{revision}"' if revision else ""
    subject = store.subjects[0]
    split = next(split for one, split in map(array_of, info.shards) if one == subject)
    values = layout.VALUES[store.info.modality]
    table = (
        f'\nvoxels = load_dataset(here, "{layout.CHANNELS_CONFIG}", split="{layout.CHANNELS_SPLIT}"{at})'
        if store.has_channel_table
        else ""
    )
    return f"""## Loading

```python
{path}from datasets import load_dataset

{here}
trials = load_dataset(here, "{subject}", split="{split}"{at}).with_format("torch")
trials[0]["{values}"]  # {store.trial_shape(subject)}
names = load_dataset(here, "{subject}", split="{split}", columns=["{columns.IMAGE_ID}", "{columns.CONCEPT}"]{at})
stream = load_dataset(here, "{subject}", split="{split}"{at}, streaming=True)
pictures = load_dataset(here, "{layout.PICTURES_CONFIG}", split="{layout.PICTURES_SPLIT}"{at}){table}
```"""


def _values(store: TrialStore) -> str:
    said = store.info
    same = len(set(said.scale)) == 1 and len(set(said.offset)) == 1
    meaning = (
        f"value in {said.unit} = number x {said.scale[0]:g} + {said.offset[0]:g}"
        if same
        else f"value in {said.unit} = number x scale + offset, which `store/store.json` lists for every channel"
    )
    formats = "`with_format` makes float32 of it unless a dtype is named." if said.num_timesteps is not None else ""
    channels = f"Channels: {', '.join(said.channels)}." if len(said.channels) <= 400 else ""
    return "\n\n".join(
        part
        for part in (
            "## Values",
            f"`{layout.VALUES[said.modality]}` holds the float16 numbers of the store: {meaning}. {formats}".strip(),
            channels,
        )
        if part
    )


def _values_by_subject(store: TrialStore) -> str:
    said = store.info
    rows = []
    for subject in store.subjects:
        regions = ", ".join(f"{name} {int(mask.sum()):,}" for name, mask in store.rois(subject).items())
        rows.append(f"| {subject} | {len(store.channels(subject)):,} | {regions or 'none'} |")
    table = "\n".join(["| subject | channels | in regions of interest |", "|---|---|---|", *rows])
    return (
        f"## Values\n\n`{layout.VALUES[said.modality]}` holds the float16 numbers of the store: value in {said.unit} "
        f"= number x scale + offset. The config `{layout.CHANNELS_CONFIG}` has a row for every channel of a subject, "
        f"in the order of its values: its `{columns.NAME}`, `{columns.SCALE}` and `{columns.OFFSET}`, and a column "
        f"`{columns.ROI}...` a region of interest. Regions may overlap.\n\n{table}"
    )


def _pictures(store: TrialStore, info: ExportInfo) -> str:
    text = (
        f"The config `{layout.PICTURES_CONFIG}` has one row a picture; `{columns.IMAGE_ID}` leads from a trial to its "
        f"picture, and `{columns.GALLERY}` says which splits may see it."
    )
    if not info.images:
        rights = "The pictures' files were left out."
    elif store.info.redistribute_pictures:
        rights = "The pictures may be redistributed, by the word of whoever made the store."
    else:
        rights = "**The pictures may not be redistributed**: do not pass this folder on or upload it."
    return f"## Pictures\n\n{text} {rights}"


def _rights(store: TrialStore, licence: str | None) -> str:
    """Whose recordings they are, and what a reader must know before using them."""
    published = PUBLISHED.get(store.info.source)
    stated = f" Whoever shares them states this licence: {licence}." if licence else ""
    if store.info.data == columns.SIMULATED:
        made = "Everything was made by neuroclip_hf's simulator, pictures included: nobody was recorded."
        return f"## Rights\n\n{made}{stated}"
    if published is not None:
        unknown = f"The licence of its recordings is not known to neuroclip_hf: see {published.page}."
        whose = f"{published.title} ({published.page}). {published.recordings or unknown} {published.pictures}"
    elif licence:
        whose = "Recordings of whoever shares them."
    else:
        whose = (
            "The licence of the recordings is for whoever shares them to state, and nobody has stated it here: ask "
            "before you use them."
        )
    return (
        f"## Rights\n\n{whose}{stated}\n\nRecordings of a brain are personal data. Whoever shares them vouches that "
        "those who were recorded agreed to that; use them for what they agreed to, and do not try to find out who "
        "they are."
    )


def _back(info: ExportInfo, repo_id: str | None, revision: str | None) -> str:
    command = f"neuroclip pull {repo_id} --dataset" if repo_id else "neuroclip import ."
    command += f" --revision {revision}" if revision else ""
    missing = "" if info.images else " With `--pictures FOLDER` it takes the pictures that were left out from there."
    return (
        f"## Training\n\n`{command} --out STORE` rebuilds the trial store, to the byte, for training with "
        f"random access.{missing}"
    )

"""What a repository needs so that Auto classes load it in a process that has not imported this package.

transformers looks into a repository's config for `auto_map`, and runs the file that it names if it may
(`trust_remote_code=True`). That file lies in `hub/remote_code/`, and asks for this package: no model code is copied.
Only what goes up has both; models and processors that were loaded from there save neither, since where a class is
looked up is a fact of the repository.
"""

from pathlib import Path

from neuroclip_hf.files import read_json, write_json, write_text
from neuroclip_hf.kinds import KINDS, find_kind
from neuroclip_hf.run_files import CONFIG_FILE, PROCESSOR_FILE

_MODULE = "from_neuroclip_hf"
_PLACES = (
    Path(__file__).with_name("remote_code_files"),  # of an installed package: pyproject.toml puts them there
    Path(__file__).parents[2] / "hub" / "remote_code",  # of a clone
)


def remote_code_files() -> dict[str, str]:
    """Files for the root of a repository: name -> text."""
    folder = next(place for place in _PLACES if place.is_dir())
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))}


def auto_map(kind: str) -> dict[str, dict[str, str]]:
    """Where Auto classes find what belongs to a kind of model.

    Args:
        kind (`str`): name of a kind, as "neuroclip".

    Returns:
        Name of a file -> its entry `auto_map`.

    Raises:
        InputError: if there is no such kind.
    """
    found = find_kind(kind)
    config, model, processor = (
        f"{_MODULE}.{one.__name__}" for one in (found.config_class, found.model_class, found.processor_class)
    )
    return {
        CONFIG_FILE: {"AutoConfig": config, "AutoModel": model, "AutoProcessor": processor},
        PROCESSOR_FILE: {"AutoProcessor": processor},
    }


def add_remote_code(folder: str | Path) -> list[Path]:
    """Make a folder that is about to go up loadable by Auto classes.

    Every checkpoint in it gets its `auto_map`, and its root the file that these point to: transformers looks for
    it there, whatever `subfolder` holds the checkpoint.

    Args:
        folder (path): a copy of a run or reproduction; its files are changed.

    Returns:
        The files that were written or changed; none if the folder holds no checkpoint.

    Raises:
        InputError: if a config is damaged, or of an unknown kind.
    """
    folder, changed = Path(folder), []
    for config in sorted(folder.rglob(CONFIG_FILE)):
        described = read_json(config)
        if not isinstance(described, dict) or described.get("model_type") not in KINDS:
            continue
        for name, entry in auto_map(described["model_type"]).items():
            path = config.with_name(name)
            if path.is_file():
                write_json(path, {**read_json(path), "auto_map": entry})
                changed.append(path)
    if changed:
        for name, text in remote_code_files().items():
            write_text(folder / name, text)
            changed.append(folder / name)
    return changed

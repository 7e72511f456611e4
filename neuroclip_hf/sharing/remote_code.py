"""What a run needs, when it goes up, so that Auto classes load it where nobody has imported this package.

It is what `neuroclip_hf.pushes` describes. Only what goes up has it; models and processors that were loaded from there
save none of it, since where a class is looked up is a fact of the repository.
"""

from pathlib import Path

from neuroclip_hf.files import read_json, write_json, write_text
from neuroclip_hf.kinds import KINDS, find_kind
from neuroclip_hf.pushes import REMOTE_CODE, remote_code_files
from neuroclip_hf.run_files import CONFIG_FILE, PROCESSOR_FILE


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
        f"{REMOTE_CODE}.{one.__name__}" for one in (found.config_class, found.model_class, found.processor_class)
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

"""Where vision towers are, by name, and what they are in words."""

from pathlib import Path

from neuroclip_hf.columns import RANDOM_TOWER, SMALL_CLIP

SMALL_CLIP_FOLDER = Path(__file__).parents[1] / "assets" / "small_clip"
_NOTES = {
    SMALL_CLIP: "ships with neuroclip_hf, trained on simulated pictures alone",
    RANDOM_TOWER: "random weights",
}


def looks_like_path(name: str) -> bool:
    """Whether a name can only be that of a file or folder, and of no repository on the Hub."""
    return name.startswith((".", "~", "/")) or "\\" in name or name.count("/") > 1


def tower_location(name: str) -> str:
    """Where transformers finds a tower: the folder of the one that ships with the package, or the name itself."""
    return str(SMALL_CLIP_FOLDER) if name == SMALL_CLIP else name


def tower_name(name: str) -> str:
    """How configs and reports call a tower. Of a folder only its own name: where it lies is nobody's business."""
    if name == SMALL_CLIP or not Path(name).is_dir():
        return name
    folder = Path(name).resolve().name
    return f"./{folder}" if folder in _NOTES else folder


def describe_tower(name: str) -> str:
    """A tower in words, for tables and cards."""
    return f"{name} ({_NOTES[name]})" if name in _NOTES else name

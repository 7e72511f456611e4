"""Settings of an experiment: frozen, checked when they are made, misspelt names refused."""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from neuroclip_hf.errors import InputError
from neuroclip_hf.files import write_text
from neuroclip_hf.training.kind_settings import SECTION, gather_kind_settings, kind_setting_names
from neuroclip_hf.training.sections import DataSettings, ModelSettings, TrainingSettings
from neuroclip_hf.training.values import checked, read_yaml

__all__ = [
    "ACCUMULATION_REMEDY",
    "RECIPES",
    "DataSettings",
    "ModelSettings",
    "Recipe",
    "TrainingSettings",
    "change_recipe",
    "load_recipe",
    "parse_overrides",
    "recipe_names",
]
RECIPES = Path(__file__).parent.parent / "recipes"
Settings = TypeVar("Settings")
ACCUMULATION = "gradient_accumulation"
ACCUMULATION_REMEDY = (
    "To save memory keep the batch and let pictures pass the tower in chunks (picture_chunk_size), or use more "
    "processes."
)


@dataclass(frozen=True)
class Recipe:
    """One experiment: a YAML file of one screen, with the sections `model`, `data` and `training`."""

    name: str = "neuroclip"
    model: ModelSettings = field(default_factory=ModelSettings)
    data: DataSettings = field(default_factory=DataSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)

    def __post_init__(self) -> None:
        adapted = self.model.prompt is not None or self.model.lora is not None
        if adapted and len(self.data.picture_views) > 1:
            raise InputError(
                f"picture_views names {len(self.data.picture_views)} views: their mean is taken once, of what a tower "
                "without adapters says. Name one view, or say prompt=null and lora=null."
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for YAML and JSON."""
        return asdict(self)

    def save(self, path: str | Path) -> None:
        """Write the recipe as YAML; [`load_recipe`] reads it back."""
        write_text(path, yaml.safe_dump(self.to_dict(), sort_keys=False))


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def load_recipe(name_or_path: str | Path, overrides: dict[str, Any] | None = None) -> Recipe:
    """Read a recipe by name, or from a YAML file.

    Args:
        name_or_path (`str` or `Path`): one of [`recipe_names`], or a file.
        overrides (`dict`): setting -> value; a setting is named alone (`epochs`) or with its section
            (`training.epochs`), and deeper ones with dots (`model.prompt.num_prompt_tokens`).

    Raises:
        InputError: for an unknown recipe, an unknown setting (with the nearest one), or a value of another type.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = RECIPES / f"{name_or_path}.yaml"
        if not path.is_file():
            raise InputError(
                f"Recipe {str(name_or_path)!r} is unknown: name a .yaml file, or one that comes with the package; "
                f"{_nearest(str(name_or_path), recipe_names())}"
            )
    try:
        values = read_yaml(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read as a recipe: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} is not a recipe: it must hold the sections model, data and training.")
    return _changed({"name": path.stem, **values}, overrides or {}, str(path))


def change_recipe(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """A recipe with some settings changed, which are named as for [`load_recipe`].

    Raises:
        InputError: for an unknown setting, or a value of another type.
    """
    return _changed(recipe.to_dict(), overrides, recipe.name)


def parse_overrides(texts: list[str]) -> dict[str, Any]:
    """`["epochs=3", "average=[1,4]"]` -> `{"epochs": 3, "average": [1, 4]}`; values are YAML."""
    overrides: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"{text!r} is not a setting: write name=value, as in epochs=20.")
        try:
            overrides[name.strip()] = read_yaml(value)
        except yaml.YAMLError:
            raise InputError(f"{text!r}: the value cannot be read; quote it, as in name='\"text\"'.") from None
    return overrides


def _changed(values: dict[str, Any], overrides: Mapping[str, Any], path: str) -> Recipe:
    values = gather_kind_settings(values, path)
    for name, value in overrides.items():
        _override(values, name, value)
    return _build(Recipe, gather_kind_settings(values, path), path, "")


def _override(values: dict[str, Any], name: str, value: Any) -> None:
    sections = {section: {f.name for f in fields(kind)} for section, kind in _sections().items()}
    parts = name.split(".")
    if parts[0] not in sections and parts[0] != "name":
        owners = [section for section, names in sections.items() if parts[0] in names]
        owners += [SECTION] if not owners and parts[0] in kind_setting_names() else []
        if not owners:
            known = sorted({*(names for section in sections.values() for names in section), *kind_setting_names()})
            raise InputError(
                f"Setting {name!r} is unknown: {_nearest(parts[0], known)} Settings of a part are written "
                f"encoder_settings.{name}, tower_settings.{name} or prompt.{name}."
            )
        parts = [owners[0], *parts]
    place = values
    for part in parts[:-1]:
        if not isinstance(place.get(part), dict):
            place[part] = {}
        place = place[part]
    place[parts[-1]] = value


def _sections() -> dict[str, Any]:
    return {name: kind for name, kind in get_type_hints(Recipe).items() if is_dataclass(kind)}


def _build(kind: type[Settings], values: Any, path: str, section: str) -> Settings:
    if not isinstance(values, dict):
        raise InputError(f"{path}: {section or 'the recipe'} must hold settings, not {values!r}.")
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    arguments = {}
    for name, value in values.items():
        where = f"{section}.{name}" if section else name
        if name not in known:
            near = [*known, *(kind_setting_names() if section == SECTION else [])]
            raise InputError(f"{path}: setting {where!r} is unknown: {_nearest(str(name), near)}")
        if is_dataclass(hints[name]):
            value = _build(hints[name], value, path, where)
        arguments[name] = checked(value, hints[name], path, where)
    return kind(**arguments)


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if ACCUMULATION in name:
        return f"accumulated gradients tell each picture from fewer others. {ACCUMULATION_REMEDY}"
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."

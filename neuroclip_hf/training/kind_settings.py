"""Settings that belong to one kind of model: recipes write them among those of every model."""

from collections.abc import Mapping
from typing import Any

from neuroclip_hf.errors import InputError
from neuroclip_hf.training.values import checked

DEFAULT_KIND = "neuroclip"
SECTION = "model"
_OWN = "kind_settings"


def kind_setting_names() -> list[str]:
    """Names of such settings, of all kinds."""
    from neuroclip_hf.kinds import KINDS  # inside, because it loads torch, which settings alone do not need

    return sorted({name for kind in KINDS.values() for name in kind.settings})


def gather_kind_settings(recipe: Mapping[str, Any], path: str) -> dict[str, Any]:
    """A recipe in whose `model` section the settings of its kind stand under `kind_settings`.

    Args:
        recipe (`Mapping`): as somebody wrote it; one that stands there and among the others is taken from the others.
        path (`str`): of the recipe, for messages.

    Raises:
        InputError: for an unknown kind, or a setting in `kind_settings` that it does not have, or of another type.
    """
    from neuroclip_hf.kinds import find_kind

    model = recipe.get(SECTION)
    if not isinstance(model, Mapping):  # whatever it is, it is looked at where all sections are
        return dict(recipe)
    kind = find_kind(model.get("kind", DEFAULT_KIND))
    given = model.get(_OWN) or {}
    if not isinstance(given, Mapping):
        raise InputError(f"{path}: {SECTION}.{_OWN} is {given!r}: it must hold settings.")
    types = kind.settings
    own = {**given, **{name: model[name] for name in model if name in types}}
    if unknown := [name for name in own if name not in types]:
        known = f"has {', '.join(types)}" if types else "has none of its own"
        raise InputError(f"{path}: {SECTION}.{_OWN}.{unknown[0]} is unknown: {kind.name} {known}.")
    rest = {name: value for name, value in model.items() if name not in types and name != _OWN}
    own = {name: checked(own[name], types[name], path, f"{SECTION}.{name}") for name in own}
    return {**recipe, SECTION: {**rest, _OWN: own}}

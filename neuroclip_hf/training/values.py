"""Values of settings: how they are read from YAML, and whether they are of the type that is asked for."""

import re
import types
from collections.abc import Hashable, Sequence
from typing import Any, Union, get_args, get_origin

import yaml

from neuroclip_hf.errors import InputError


class _Loader(yaml.SafeLoader):
    """YAML 1.2's truth and numbers: PyYAML's 1.1 takes `no` for false and 1e-4, which lacks a point, for text.

    A name that stands twice is refused, as YAML asks for and PyYAML does not: the last value would win in silence.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []  # `!!map [1]` is not one, which PyYAML says
        names = [key.value for key, _ in pairs if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{name!r} stands there twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


_OURS = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _OURS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_OURS[0], re.compile(r"^(true|false)$"), list("tf"))
_Loader.add_implicit_resolver(
    _OURS[1], re.compile(r"^[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?$"), list("-+.0123456789")
)


def read_yaml(text: str) -> Any:
    """One YAML value, by YAML 1.2's truth and numbers.

    Raises:
        yaml.YAMLError: for text that is no YAML, or that names a setting twice.
    """
    return yaml.load(text, _Loader)  # a SafeLoader


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a value that is none of those allowed, naming them.

    Raises:
        InputError: naming the setting, its value and the choices.
    """
    if value not in allowed:
        raise InputError(f"{name} is {value!r}: choose one of {', '.join(allowed)}.")


def checked(value: Any, hint: Any, path: str, where: str) -> Any:
    """A value of the type that a setting asks for: lists take commas, numbers may stand for text and for reals.

    Args:
        value: as read from YAML.
        hint (type): of the setting.
        path (`str`): of the recipe, for the message.
        where (`str`): name of the setting, likewise.

    Raises:
        InputError: for a value of another type.
    """
    if isinstance(value, str) and _holds_list(hint):  # lists take commas, and one entry is a list too
        value = [read_yaml(part) for part in value.split(",") if part.strip()]
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and _holds_list(hint):
        value = [value]
    if isinstance(value, list) and any(list[str] == option for option in (hint, *get_args(hint))):
        value = [str(one) if isinstance(one, int) and not isinstance(one, bool) else one for one in value]
    if isinstance(value, list) and any(list[float] == option for option in (hint, *get_args(hint))):
        value = [float(one) if isinstance(one, int) and not isinstance(one, bool) else one for one in value]
    if isinstance(value, int) and not isinstance(value, bool) and hint == str | None:  # a subject, or a commit: 7
        value = str(value)
    if isinstance(value, int) and not isinstance(value, bool) and float in (hint, *get_args(hint)) and hint is not int:
        value = float(value)
    if not _fits(value, hint):
        raise InputError(f"{path}: {where} is {value!r}: it must be {_in_words(hint)}.")
    return value


def _in_words(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_in_words(option) for option in get_args(hint))
    if get_origin(hint) is list:
        return f"a list of {_SEVERAL.get(get_args(hint)[0], 'settings')}"
    return _ONE.get(get_origin(hint) or hint, str(hint))


_ONE = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    dict: "settings, as in {name: value}",
    types.NoneType: "null",
}
_SEVERAL = {int: "whole numbers", float: "numbers", str: "texts"}


def _holds_list(hint: Any) -> bool:
    return any(get_origin(option) is list for option in (hint, *get_args(hint)))


def _fits(value: Any, hint: Any) -> bool:
    if hint is Any:
        return True
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if origin is list:
        return isinstance(value, list) and all(_fits(item, get_args(hint)[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict)
    if hint in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, hint)

"""Something to be done once another module is there, at no cost as long as it is not."""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


def when_loaded(name: str, action: Callable[[], None]) -> None:
    """Call `action` as soon as a module is loaded: now if it is, else right after whoever imports it.

    It is Python's own import protocol (PEP 451): nothing of the other module is changed, and where it never comes
    nothing happens.

    Args:
        name (`str`): full name of the module.
        action (callable): what to do then.
    """
    if name in sys.modules:
        action()
    else:
        sys.meta_path.insert(0, _Watch(name, action))


class _Watch(MetaPathFinder):
    """Stands before all other finders until its module was loaded; of that it lets the others find the code."""

    def __init__(self, name: str, action: Callable[[], None]) -> None:
        self._name, self._action, self._asking = name, action, False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name or self._asking:
            return None
        self._asking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._asking = False
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenAct(spec.loader, self)
        return spec

    def loaded(self) -> None:
        """The module is there: step aside, and act."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
            self._action()


class _ThenAct(Loader):
    """The module's own loader, with one thing to be said after it."""

    def __init__(self, loader: Loader, watch: _Watch) -> None:
        self._loader, self._watch = loader, watch

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._watch.loaded()

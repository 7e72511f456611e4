"""What is done once a module is there."""

import importlib
import sys

import pytest

from neuroclip_hf.import_hook import when_loaded


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Name of a module that can be imported, and is not yet."""
    (tmp_path / "arrives_later.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.meta_path)
    yield "arrives_later"
    sys.modules.pop("arrives_later", None)
    sys.meta_path[:] = before


def test_after_the_import_once(module):
    seen, before = [], list(sys.meta_path)
    when_loaded(module, lambda: seen.append(sys.modules[module].value))
    assert importlib.util.find_spec(module) is not None  # looking is not importing
    assert seen == []
    imported = importlib.import_module(module)
    assert seen == [1]
    assert type(imported.__spec__.loader).__name__ == type(imported.__loader__).__name__ == "SourceFileLoader"
    assert sys.meta_path == before
    importlib.reload(imported)
    assert seen == [1]


def test_at_once_where_it_is_there(module):
    seen = []
    importlib.import_module(module)
    when_loaded(module, lambda: seen.append(1))
    assert seen == [1]


def test_an_import_that_fails_may_be_tried_again(module, tmp_path):
    seen = []
    (tmp_path / "arrives_later.py").write_text("raise OSError('not yet')\n")
    when_loaded(module, lambda: seen.append(1))
    with pytest.raises(OSError, match="not yet"):
        importlib.import_module(module)
    assert seen == []
    (tmp_path / "arrives_later.py").write_text("value = 22\n")
    importlib.invalidate_caches()
    importlib.import_module(module)
    assert seen == [1]


def test_a_module_that_does_not_exist_stays_missing():
    before = list(sys.meta_path)
    when_loaded("never_to_be_found", lambda: pytest.fail("it was found"))
    with pytest.raises(ModuleNotFoundError, match="never_to_be_found"):
        importlib.import_module("never_to_be_found")
    sys.meta_path[:] = before

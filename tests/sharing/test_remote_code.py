"""A repository loads through Auto classes, whether the package was imported, was not, or is missing."""

import ast
import json
import shutil

import pytest
from safetensors.torch import load_file

import neuroclip_hf
from neuroclip_hf import NeuroCLIPConfig, NeuroCLIPModel, NeuroCLIPProcessor
from neuroclip_hf.errors import InputError
from neuroclip_hf.kinds import KINDS
from neuroclip_hf.pushes import remote_code_files
from neuroclip_hf.sharing.remote_code import add_remote_code, auto_map

STRANGER = """
import json, sys
from transformers import AutoConfig, AutoModel, AutoProcessor
assert not [name for name in sys.modules if name.startswith("neuroclip_hf")]
options = {options!r}
found = [one.from_pretrained({place!r}, **options) for one in (AutoConfig, AutoModel, AutoProcessor)]
for one in found[1:]:
    one.save_pretrained("again")
print(json.dumps([f"{{type(one).__module__}}.{{type(one).__name__}}" for one in found]))
"""
FRIEND = """
import neuroclip_hf
from transformers import AutoConfig, AutoModel, AutoProcessor
neuroclip_hf.register()
for one in (AutoConfig, AutoModel, AutoProcessor):
    for options in ({{}}, {{"trust_remote_code": True}}):
        print(type(one.from_pretrained({place!r}, **options)).__name__)
"""
WITHOUT = """
import json
from transformers import AutoConfig, AutoModel, AutoProcessor
said = []
for one in (AutoConfig, AutoModel, AutoProcessor):
    try:
        one.from_pretrained({place!r}, trust_remote_code=True)
    except ImportError as error:
        said.append(str(error))
print(json.dumps(said))
"""


def names_of(kind):
    found = KINDS[kind]
    classes = (found.config_class, found.model_class, found.processor_class)
    return [f"{one.__module__}.{one.__name__}" for one in classes]


@pytest.fixture
def repository(run_copy):
    """A run as it goes up."""
    add_remote_code(run_copy)
    return run_copy


@pytest.fixture
def reproduction(god_reproduction, tmp_path):
    """BrainCLIP of two subjects as it goes up: checkpoints in subfolders."""
    folder = shutil.copytree(god_reproduction, tmp_path / "reproduction")
    add_remote_code(folder)
    return folder


def files_in(folder):
    return {path.name for path in folder.iterdir()}


def test_a_process_that_never_imported_the_package_loads_it_and_saves_it_without_code(
    repository, elsewhere, run_folder, tmp_path
):
    done = elsewhere(STRANGER.format(place=str(repository), options={"trust_remote_code": True}))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == names_of("neuroclip")
    again = tmp_path / "elsewhere" / "again"
    assert files_in(again) == {"config.json", "model.safetensors", "processor_config.json"}
    assert "auto_map" not in (again / "config.json").read_text()
    assert (again / "processor_config.json").read_bytes() == (run_folder / "processor_config.json").read_bytes()
    before, after = (load_file(each / "model.safetensors") for each in (run_folder, again))
    assert before.keys() == after.keys()
    assert all(before[name].equal(after[name]) for name in before)


def test_brainclip_is_loaded_from_a_subfolder(reproduction, elsewhere):
    options = {"trust_remote_code": True, "subfolder": "runs/sub-02/seed-0"}
    done = elsewhere(STRANGER.format(place=str(reproduction), options=options))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == names_of("brainclip")


def test_nothing_runs_unless_it_is_trusted(repository, elsewhere):
    done = elsewhere(STRANGER.format(place=str(repository), options={}))
    assert done.returncode != 0
    assert "trust_remote_code=True" in done.stderr


def test_where_the_package_is_missing_it_says_how_to_install_it(repository, elsewhere):
    done = elsewhere(WITHOUT.format(place=str(repository)), installed=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert len(said) == 3
    for text in said:
        assert "loaded by the package neuroclip_hf, which is not installed" in text
        assert "pip install neuroclip-hf" in text


def test_a_broken_installation_is_not_called_a_missing_one(repository, elsewhere, tmp_path):
    broken = tmp_path / "elsewhere" / "neuroclip_hf"
    broken.mkdir()
    (broken / "__init__.py").write_text("import something_else_that_is_missing\n")
    code = "import sys; sys.path.insert(0, '')\nfrom transformers import AutoConfig\n"
    done = elsewhere(f"{code}AutoConfig.from_pretrained({str(repository)!r}, trust_remote_code=True)")
    assert "something_else_that_is_missing" in done.stderr
    assert "pip install neuroclip-hf" not in done.stderr


def test_a_process_that_imported_the_package_runs_no_code_of_the_repository(repository, elsewhere):
    (repository / "from_neuroclip_hf.py").write_text("raise SystemExit('this ran')\n")
    done = elsewhere(FRIEND.format(place=str(repository)))
    assert done.returncode == 0, done.stderr
    each = ["NeuroCLIPConfig", "NeuroCLIPModel", "NeuroCLIPProcessor"]
    assert done.stdout.split() == [name for name in each for _ in range(2)]


def test_our_own_classes_load_it_too_and_keep_no_auto_map(repository):
    model = NeuroCLIPModel.from_pretrained(repository)
    assert "auto_map" not in model.config.to_dict()
    assert NeuroCLIPProcessor.from_pretrained(repository).to_dict().get("auto_map") is None
    with pytest.raises(InputError, match="trust_remote_code"):
        NeuroCLIPModel.from_pretrained(repository, trust_remote_code=True)
    with pytest.raises(InputError, match="trust_remote_code"):
        NeuroCLIPProcessor.from_pretrained(repository, trust_remote_code=True)


def test_a_misspelt_setting_is_still_refused(repository):
    described = json.loads((repository / "config.json").read_text())
    (repository / "config.json").write_text(json.dumps({**described, "auto_maps": {}}))
    with pytest.raises(InputError, match="auto_maps"):
        NeuroCLIPConfig.from_pretrained(repository)


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_name_of_the_map_is_in_the_file_and_public(kind):
    entries = auto_map(kind)
    assert entries["config.json"].keys() == {"AutoConfig", "AutoModel", "AutoProcessor"}
    for entry in entries.values():
        for where in entry.values():
            module, _, name = where.partition(".")
            assert f"{module}.py" in remote_code_files()
            assert name in neuroclip_hf.__all__


def test_only_checkpoints_of_ours_are_touched(tmp_path):
    (tmp_path / "tower").mkdir()
    (tmp_path / "tower" / "config.json").write_text('{"model_type": "clip"}')
    assert add_remote_code(tmp_path) == []
    assert [path.name for path in tmp_path.rglob("*.*")] == ["config.json"]


def test_the_code_that_goes_up_holds_no_model_and_imports_this_package_alone():
    for text in remote_code_files().values():
        parts = list(ast.walk(ast.parse(text)))
        assert not [part for part in parts if isinstance(part, ast.ClassDef)]
        imported = {alias.name for part in parts if isinstance(part, ast.Import) for alias in part.names}
        imported |= {part.module for part in parts if isinstance(part, ast.ImportFrom)}
        assert imported == {"neuroclip_hf", "typing"}


def test_an_unknown_kind_has_no_map():
    with pytest.raises(InputError, match="kind is 'clip'"):
        auto_map("clip")

"""Who may import whom, what may load torch, and how long a file may be."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "neuroclip_hf"
FOUNDATIONS = {"columns", "errors", "files", "import_hook", "logging", "privacy", "pushes", "run_files"}
ANYTHING = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()} - {"__init__", "cli"}
PIPES = {"data", "processing", "models", "metrics"}

# part -> what it may import of the package, besides the foundations and itself
MAY_IMPORT = {
    "adapters": set(),
    "losses": set(),
    "metrics": set(),
    "recipes": set(),
    "data": set(),
    "processing": {"data", "metrics"},
    "models": {"losses", "adapters"},
    "kinds": {"processing", "models"},
    "training": {"kinds", "processing", "models", "adapters", "losses", "metrics"},
    "evaluation": PIPES | {"checkpoints"},
    "figures": PIPES | {"adapters", "checkpoints"},
    "checkpoints": {"kinds", "data", "processing", "models"},
    "pipelines": PIPES | {"galleries"},
    "galleries": PIPES | {"figures"},
    "live": PIPES | {"galleries"},
    "space": PIPES | {"checkpoints", "galleries", "figures"},
    "generation": PIPES | {"checkpoints", "evaluation", "figures"},
    "assets": {"data", "models", "training"},
    "sharing": {"checkpoints", "kinds", "data", "processing", "models", "evaluation", "figures"},
    "protocols": ANYTHING - {"sharing"},
    "cli": ANYTHING,
}
# These could be taken out and used alone: not even the foundations.
ALONE = {"adapters", "losses", "metrics"}
FOUNDATIONS_MAY_IMPORT = {
    "run_files": set(),
    "import_hook": set(),
    "columns": set(),
    "errors": set(),
    "files": {"errors"},
    "logging": {"errors"},
    "privacy": {"errors", "files"},
    "pushes": {"files", "privacy", "run_files"},
}

NEVER_IMPORTED = {"hub", "dataset_scripts", "tests", "benchmarks", "examples"}
HEAVY = {"torch", "transformers", "peft", "accelerate", "diffusers"}
MAY_MEET_TORCH = {  # inside a function only
    "neuroclip_hf.data._torch_container",  # a .pt file holds torch's tensors
    "neuroclip_hf.data.halves",  # which looks whether torch is loaded already
}
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}
MAX_LINES = {"neuroclip_hf": 300, "benchmarks": 300, "examples": 300, "hub": 300, "dataset_scripts": 300, "tests": 400}


@dataclass(frozen=True)
class Import:
    importer: str  # dotted module name
    name: str  # dotted name of what is imported, members included
    on_loading: bool  # when the module is loaded, rather than when a function of it is called
    line: int

    def __str__(self):
        return f"{self.importer}:{self.line} imports {self.name}"


def module_name(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(name: str) -> str:
    """The second part of a dotted name: "data" of "neuroclip_hf.data.store"; "" for the package itself."""
    return [*name.split("."), ""][1]


def imports_in(node: ast.AST, importer: str, package: str, on_loading: bool = True) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(importer, alias.name, on_loading, child.lineno) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) + 1 - child.level] if child.level else []
            origin = ".".join([*base, *([child.module] if child.module else [])])
            yield from (Import(importer, f"{origin}.{alias.name}", on_loading, child.lineno) for alias in child.names)
        elif isinstance(child, ast.Call) and ast.unparse(child.func).endswith("import_module"):
            names = [argument.value for argument in child.args if isinstance(argument, ast.Constant)]
            yield from (Import(importer, name, on_loading, child.lineno) for name in names)
        inside_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        types_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        yield from imports_in(child, importer, package, on_loading and not inside_function and not types_only)


def imports_of(path: Path) -> list[Import]:
    name = module_name(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return list(imports_in(ast.parse(path.read_text(encoding="utf-8")), name, package))


def all_imports() -> list[Import]:
    return [found for path in sorted(PACKAGE.rglob("*.py")) for found in imports_of(path)]


def breaks_the_table(found: Import) -> bool:
    importer, imported = part_of(found.importer), part_of(found.name)
    if not found.name.startswith("neuroclip_hf") or importer in ("", imported):
        return False
    if found.name == "neuroclip_hf.__version__":
        return importer in ALONE
    if importer in FOUNDATIONS:
        return imported not in FOUNDATIONS_MAY_IMPORT[importer]
    foundations = set() if importer in ALONE else FOUNDATIONS
    return imported not in MAY_IMPORT.get(importer, set()) | foundations


def test_every_part_is_in_the_table():
    parts = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert parts - {"__init__"} - set(MAY_IMPORT) - FOUNDATIONS == set()


def test_every_folder_of_the_package_is_a_package():
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_parts_import_only_what_the_table_allows():
    assert [str(found) for found in all_imports() if breaks_the_table(found)] == []


@pytest.mark.parametrize(
    ("importer", "source", "broken"),
    [
        ("data/x.py", "from neuroclip_hf.models import registry", True),
        ("data/x.py", "from ..models import registry", True),
        ("data/x.py", "def f():\n    import neuroclip_hf.models.registry", True),
        ("data/x.py", "import_module('neuroclip_hf.cli.main')", True),
        ("data/x.py", "from neuroclip_hf import NeuroCLIPModel", True),
        ("data/x.py", "from neuroclip_hf import columns, __version__", False),
        ("data/x.py", "from .epochs import cut\nfrom neuroclip_hf.files import new_file", False),
        ("losses/x.py", "from neuroclip_hf.errors import InputError", True),
        ("training/x.py", "from neuroclip_hf import evaluation", True),
        ("protocols/x.py", "from neuroclip_hf.cli import main", True),
        ("protocols/x.py", "from neuroclip_hf.training import trainer", False),
        ("cli/x.py", "from neuroclip_hf.sharing import hub", False),
        ("files.py", "from neuroclip_hf.data import store", True),
    ],
)
def test_the_table_is_applied(importer, source, broken):
    name = module_name(PACKAGE / importer)
    found = list(imports_in(ast.parse(source), name, name.rpartition(".")[0]))
    assert any(breaks_the_table(one) for one in found) is broken


def test_nothing_beside_the_package_is_imported_by_it():
    assert [str(found) for found in all_imports() if found.name.split(".")[0] in NEVER_IMPORTED] == []


def test_data_meets_torch_only_where_it_may():
    heavy = [
        found
        for found in all_imports()
        if part_of(found.importer) == "data"
        and found.name.split(".")[0] in HEAVY
        and (found.on_loading or found.importer not in MAY_MEET_TORCH)
    ]
    assert [str(found) for found in heavy] == []


def test_what_is_imported_on_loading_is_a_dependency():
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = {text.split(">")[0].split("=")[0].strip() for text in settings["project"]["dependencies"]}
    foreign = {found.name.split(".")[0] for found in all_imports() if found.on_loading}
    foreign -= {*sys.stdlib_module_names, "neuroclip_hf"}
    assert {name for name in foreign if DISTRIBUTIONS.get(name, name) not in declared} == set()


def test_files_are_short():
    lengths = {
        path.relative_to(PROJECT): len(path.read_text(encoding="utf-8").splitlines())
        for folder in MAX_LINES
        for path in (PROJECT / folder).rglob("*.py")
    }
    assert {str(path): length for path, length in lengths.items() if length > MAX_LINES[path.parts[0]]} == {}


def loaded_by(statement: str, heavy: set[str] = HEAVY) -> list[str]:
    """Which heavy libraries a fresh interpreter holds after `statement`, which may print."""
    check = (
        f"import sys\n{statement}\nprint([name for name in {sorted(heavy)} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=PROJECT, timeout=300)
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stderr.splitlines()[-1])


def test_the_bare_import_loads_no_torch_and_prints_nothing():
    assert loaded_by("import neuroclip_hf; dir(neuroclip_hf); neuroclip_hf.InputError, neuroclip_hf.__version__") == []
    done = subprocess.run([sys.executable, "-c", "import neuroclip_hf"], capture_output=True, cwd=PROJECT, timeout=300)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_the_help_loads_no_torch_and_no_signal_processing():
    heavy = HEAVY | {"scipy.signal", "sklearn", "pandas", "pyarrow", "datasets"}
    assert loaded_by("from neuroclip_hf.cli.main import main; assert main(['--help']) == 0", heavy) == []


def test_the_data_part_loads_no_torch():
    modules = sorted(module_name(path) for path in (PACKAGE / "data").rglob("*.py"))
    assert loaded_by("\n".join(f"import {module}" for module in modules)) == []


def test_this_check_sees_torch():
    assert "torch" in loaded_by("import neuroclip_hf.metrics.retrieval")


def test_unknown_public_name_is_an_attribute_error():
    import neuroclip_hf

    with pytest.raises(AttributeError, match="NeuroClipModel"):
        _ = neuroclip_hf.NeuroClipModel


def test_every_public_name_loads_and_is_listed():
    import neuroclip_hf

    assert set(neuroclip_hf.__all__) <= set(dir(neuroclip_hf))
    assert {name for name in neuroclip_hf.__all__ if getattr(neuroclip_hf, name, None) is None} == set()

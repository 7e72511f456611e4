"""Every code block of the README, of the site and of documented docstrings runs as it is printed.

A document's blocks run in order, in a folder that holds what the text takes for granted. Settings that make a command
small are appended to it (`SMALL` in `conftest.py`); what installs is looked up instead of fetched.
"""

import doctest
import importlib
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

# peft asks for a name that transformers is about to give up.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing. is deprecated:FutureWarning")
PROJECT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
RUN = {"bash", "python"}
SHOWN = {"text", "yaml"}  # what is printed or drawn, and settings: recipes have tests of their own

# Document, section ("" for all of it) -> what its blocks find, and whether they take long.
PLACES = {
    ("README.md", "Two commands"): ([], False),
    ("README.md", "Your own recordings"): (["recordings"], False),
    ("README.md", "Numbers to publish"): (["store", "two runs"], True),
    ("README.md", "Share trials as a dataset"): (["store"], False),
    ("README.md", "Epochs or voxel patterns that you already have"): (["arrays"], False),
    ("README.md", "fMRI: BrainCLIP"): (["brains", "scans", "pipeline", "patterns"], True),
    ("README.md", "Share"): (["store", "run", "hub", "recordings"], True),
    ("README.md", "In Python"): (["run and epochs", "tower"], False),
    ("README.md", "Simulated recordings"): ([], False),
    ("docs/install.md", ""): ([], False),
    ("docs/first-hour.md", ""): ([], False),
    ("docs/fmri.md", ""): ([], True),
    ("docs/live.md", ""): (["first hour"], True),
    ("docs/python.md", ""): (["store", "run"], False),
    ("docs/sharing.md", ""): (["store", "run", "hub"], True),
}


@dataclass(frozen=True)
class Block:
    document: str
    section: str
    line: int
    language: str
    text: str


def blocks_of(path: Path) -> list[Block]:
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(PROJECT).as_posix()
    found = []
    for fence in FENCE.finditer(text):
        outside = FENCE.sub("", text[: fence.start()])  # a comment in code is no heading
        heading = HEADING.findall(outside)[-1] if name == "README.md" else ""
        found.append(Block(name, heading, text.count("\n", 0, fence.start()) + 1, *fence.groups()))
    return found


def documents() -> list[Path]:
    return [
        PROJECT / "README.md",
        PROJECT / "CONTRIBUTING.md",
        PROJECT / "CHANGELOG.md",
        *sorted(PROJECT.glob("docs/**/*.md")),
    ]


BLOCKS = [block for path in documents() for block in blocks_of(path)]


def test_every_block_has_a_place_and_a_language_that_is_known():
    assert {block.language for block in BLOCKS} <= RUN | SHOWN
    assert {(block.document, block.section) for block in BLOCKS if block.language in RUN} == set(PLACES)
    fences = sum(path.read_text(encoding="utf-8").count("\n```") for path in documents())
    assert fences == 2 * len(BLOCKS)


@pytest.mark.parametrize(
    ("document", "section"),
    [pytest.param(*place, marks=pytest.mark.slow if slow else []) for place, (_, slow) in PLACES.items()],
)
def test_blocks_run_as_they_are_printed(workplace, document, section):
    place = workplace(PLACES[document, section][0])
    for block in BLOCKS:
        if (block.document, block.section) == (document, section):
            if block.language == "bash":
                place.shell(block.text)
            elif block.language == "python":
                place.python(block.text, f"{document}:{block.line}")
    place.finish()


def documented_modules() -> list[str]:
    """The modules of the package that have examples in their docstrings, in either form."""
    paths = sorted((PROJECT / "neuroclip_hf").rglob("*.py"))
    found = [path for path in paths if "    >>> " in path.read_text(encoding="utf-8")]
    return [".".join(path.relative_to(PROJECT).with_suffix("").parts) for path in found]


@pytest.mark.parametrize("name", documented_modules())
def test_examples_in_docstrings_give_what_they_show(name):
    import torch

    from neuroclip_hf.losses import draw_mixing

    module = importlib.import_module(name)
    pair = {"brain": torch.randn(6, 4), "image": torch.randn(6, 4), "frozen": torch.randn(6, 5)}
    ids = torch.tensor([0, 1, 2, 0, 1, 2])
    names = {
        **vars(importlib.import_module(name.rpartition(".")[0])),
        **vars(module),
        **pair,
        "torch": torch,
        "ids": ids,
        "class_of_row": ids,
        "logits": pair["brain"] @ pair["image"].T,
        "logit_scale": torch.tensor(2.0),
        "mixing": draw_mixing(6, 0.3, None, torch.device("cpu")),
    }
    tests = [test for test in doctest.DocTestFinder().find(module, globs=names) if test.examples]
    assert tests
    for test in tests:
        result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)
        assert (result.failed, result.attempted) == (0, len(test.examples)), test.name


def test_the_example_of_the_builder(workplace):
    place = workplace(["store"])
    module = importlib.import_module("neuroclip_hf.data.builders.trial_store")
    ((_, text),) = FENCE.findall(module.__doc__)
    place.names.update(vars(module))
    place.python(text.replace('"STORE"', '"store"'), module.__name__)
    assert len(place.names["train"]) == len(list(place.names["stream"]))


def test_the_example_of_the_pipeline(workplace, simulated):
    place = workplace(["run"])
    said = importlib.import_module("neuroclip_hf.pipelines").BrainImageRetrievalPipeline.__doc__
    (fence,) = FENCE.findall(said.replace("\n    ", "\n"))
    (place.folder / "pictures").symlink_to(simulated / "test_images")
    place.names["epochs"] = simulated / "sub-01" / "ses-01" / "raw_eeg_test.npy"
    place.python(fence[1].replace("user/name", "run"), "pipelines")
    assert callable(place.names["find"])

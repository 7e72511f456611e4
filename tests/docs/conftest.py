"""Folders in which the code blocks of the documents run, and a shell for them that starts no process for each verb."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import tomllib
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mne
import numpy as np
import pytest
from packaging.requirements import Requirement
from PIL import Image

from neuroclip_hf.cli.main import main

ENCODER = ["encoder_settings.hidden_size=16", "projection_dim=16", "epochs=1", "batch_size=32"]
SMALL_MEG = ["--channels=MEG001,MEG040,MEG080", "--concepts=8", "--test-concepts=4", "--images-per-concept=2"]
STREAM = f"neuroclip-docs-{os.getpid()}"  # others on this network send streams too
PATIENCE = 300
"""Seconds until a process that was started has to be ready: a busy machine is slow."""
# What is appended to a command that is printed, so that it takes seconds: fewer numbers, and the tower at hand.
SMALL = {
    ("simulate", "meg"): [*SMALL_MEG, "--image-size=16", "--sessions=2"],
    ("simulate", "god"): ["--voxels=120", "--image-size=16"],
    ("simulate", "things-eeg2"): [
        *["--subjects=1", "--concepts=4", "--test-concepts=2", "--rate=250", "--image-size=16", "--sessions=2"],
    ],
    ("train", "concepts"): ["epochs=1"],
    ("train", "brainclip"): ["epochs=1", "encoder_settings.width=16", "encoder_settings.latent_size=8"],
    ("reproduce", "neuroclip-intra"): [*ENCODER, "tower=small-clip", "--subjects=1"],
    ("ablate", "neuroclip-intra"): [*ENCODER, "tower=small-clip", "--subjects=1", "--seeds=1"],
    ("generate", "run"): ["--limit=1", "--steps=1"],
    ("stream", "run"): [f"--stream={STREAM}", f"--markers={STREAM}-annotations", "--answers=3"],
}


@dataclass
class Workplace:
    """A folder with all that a block takes for granted, and the names that its Python knows."""

    folder: Path
    names: dict[str, Any] = field(default_factory=dict)
    hub: Any = None  # where there is one, Python, and verbs that talk to it, run in other processes
    said: list[str] = field(default_factory=list)
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def shell(self, text: str) -> None:
        """Run each command of a block; one that this shell does not know fails the test."""
        for line in text.replace("\\\n", " ").splitlines():
            # Words, quotes, patterns and comments as bash reads them.
            printed = subprocess.run(
                ["bash", "-c", f"printf '%s\\0' {line}"], cwd=self.folder, capture_output=True, text=True, check=True
            )
            words = [word for word in printed.stdout.split("\0") if word]
            if words:
                getattr(self, f"_{ {'.': 'source'}.get(words[0], words[0]).replace('-', '_') }")(words[1:])

    def python(self, text: str, origin: str) -> None:
        """Run a block of Python, with the names of the blocks before it."""
        if self.hub is None:
            exec(compile(text, origin, "exec"), self.names)
        else:
            self.said.append(text)

    def finish(self) -> None:
        """Run what Python was said where there is a Hub, all of it in one process."""
        if self.said:
            done = self.hub.python("\n".join(self.said))
            assert done.code == 0, done.err

    def _neuroclip(self, words: list[str]) -> None:
        if words[0] in ("push", "push-data", "pull"):
            done = self.hub.neuroclip(*words)
            assert done.code == 0, done.err
            return
        if words[0] == "space" and "--out" not in words:
            self._serve(words)
            return
        small = SMALL.get(tuple(words[:2]), [])
        assert main([*words, *small]) == 0, " ".join(["neuroclip", *words, *small])

    def _serve(self, words: list[str]) -> None:
        """A page is served in a process of its own until Ctrl-C; it is there when its address is said."""
        process, address = self._start([sys.executable, "-m", "neuroclip_hf.cli.main", *words], r"http://[\d.]+:\d+/")
        with urllib.request.urlopen(address, timeout=60) as page:
            assert page.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0

    def _mne_lsl(self, words: list[str]) -> None:
        """A player goes on until the test ends."""
        player = Path(sys.executable).with_name("mne-lsl")
        self._start([str(player), *words, f"--name={STREAM}"], "Press ENTER")

    def _start(self, command: list[str], wanted: str) -> tuple[subprocess.Popen[str], str]:
        """Start what goes on by itself; what it says first that is wanted."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(command, cwd=self.folder, env=environment, text=True, **pipes)
        self.running.append(process)
        patience = threading.Timer(PATIENCE, process.kill)
        patience.start()
        lines = []
        for line in process.stdout:
            lines.append(line)
            found = re.search(wanted, line)
            if found:
                patience.cancel()
                return process, found.group()
        raise AssertionError("".join(lines))

    def close(self) -> None:
        """End what was started."""
        for process in self.running:
            process.kill()
            process.communicate()

    def _pip(self, words: list[str]) -> None:
        """Nothing can be fetched here: what would be installed has to be ours, with these extras, or needed by us."""
        declared = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
        assert words.pop(0) == "install"
        if "--index-url" in words:
            place = words.index("--index-url")
            del words[place : place + 2]
        (wanted,) = words
        requirement = Requirement(wanted.replace(".", "neuroclip-hf", 1) if wanted.startswith(".") else wanted)
        needed = {Requirement(each).name for each in declared["dependencies"]}
        assert requirement.name in {declared["name"], *needed}
        assert requirement.extras <= set(declared["optional-dependencies"])

    def _make(self, words: list[str]) -> None:
        """The target exists, and so do those that it needs."""
        subprocess.run(["make", "--dry-run", *words], cwd=PROJECT, check=True, capture_output=True)

    def _python3(self, words: list[str]) -> None:
        assert words[:2] == ["-m", "venv"]
        subprocess.run([shutil.which("python3"), *words, "--without-pip"], cwd=self.folder, check=True)

    def _source(self, words: list[str]) -> None:
        subprocess.run(["bash", "-c", f". {words[0]}"], cwd=self.folder, check=True)


PROJECT = Path(__file__).resolve().parents[2]
CONCEPTS = ("cat", "dog")


def make_recordings(folder: Path) -> None:
    """Six runs of four electrodes; each shows four pictures of two concepts six times."""
    names = [f"{concept}/{concept}_{number}" for concept in CONCEPTS for number in (1, 2)]
    for place, name in enumerate(names):
        path = folder / "pictures" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (60 * place, 200 - 50 * place, 7)).save(path)
    info = mne.create_info(["P7", "O1", "Oz", "O2"], 256.0, "eeg")
    for run in range(1, 7):
        generator = np.random.default_rng(run)
        raw = mne.io.RawArray(5e-6 * generator.standard_normal((4, 28 * 256)), info, verbose="ERROR")
        shown = generator.permutation(names * 6)
        raw.set_annotations(mne.Annotations(1 + np.arange(len(shown)) * 1.1, 0, list(shown)))
        raw.save(folder / f"sub-01_run-{run:02d}_raw.fif", verbose="ERROR")


def pattern_names() -> dict[str, Any]:
    """What the block about arrays puts into its file."""
    generator = np.random.default_rng(0)
    picture = np.arange(60) % 12
    return {
        "brain": 1e1 * generator.standard_normal((60, 3, 25)),
        "images": generator.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8),
        "image_id": picture,
        "split": np.where(picture < 8, "train", "test"),
        "concept": np.array(["cat", "dog", "cow", "bird"] * 3),
        "names": np.array(["O1", "Oz", "O2"]),
    }


def make_patterns(folder: Path) -> None:
    """Small files of the form of the three recorded ones."""
    generator = np.random.default_rng(0)
    label = np.tile(np.repeat(["face", "house", "cat", "rest"], 9), 12)
    run = np.repeat(np.arange(12, dtype=np.int8), 36)
    means = {name: generator.standard_normal(20) for name in sorted(set(label))}
    bold = 900 + 100 * np.stack([means[name] for name in label]) + 50 * generator.standard_normal((432, 20))
    np.savez(folder / "haxby_slice.npz", bold=bold.astype(np.int16), label=label, run=run)
    figures = generator.integers(0, 2, (10, 10, 10), dtype=np.uint8)
    fmri = np.tile(generator.standard_normal((10, 30)), (8, 1)) + 0.3 * generator.standard_normal((80, 30))
    np.savez(folder / "miyawaki_V1_figures.npz", fmri=fmri.astype(np.float32), images=np.tile(figures, (8, 1, 1)))
    patterns = generator.standard_normal((4, 2, 92, 300))
    gram = np.einsum("sriv,srjv->srij", patterns, patterns).astype(np.float32)
    category = np.array([f"kind {number % 6}" for number in range(92)])
    images = generator.integers(0, 256, (92, 16, 16, 3), dtype=np.uint8)
    np.savez(folder / "objects92.npz", images=images, category=category, caption=category, gram_hIT=gram)


def load_helper(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def given(request, tmp_path):
    """Functions that put one thing into the folder, or a name into Python's, by what it is called."""

    def evaluated(name):
        from neuroclip_hf.protocols.evaluating import evaluate_run

        run = shutil.copytree(request.getfixturevalue("run_folder"), tmp_path / name)
        evaluate_run(run, request.getfixturevalue("store"))

    def run_and_epochs(place):
        from neuroclip_hf.protocols.run import save_run, train_on_store

        store = request.getfixturevalue("array_store")(sampling_rate=128.0)
        recipe = request.getfixturevalue("recipe")
        save_run(train_on_store(recipe, store), recipe, tmp_path / "run")
        pictures = [store.open_picture(name) for name in store.gallery("test")["image_id"]]
        epochs = store.read(store.select("test")[:3])
        place.names.update(epochs=epochs, pictures=pictures, names=store.channels(store.subjects[0]))

    def tower(place):
        from transformers import CLIPVisionModel

        from neuroclip_hf.models.towers import SMALL_CLIP_FOLDER

        place.names["tower"] = CLIPVisionModel.from_pretrained(SMALL_CLIP_FOLDER)

    def scans(place):
        made = load_helper(PROJECT / "tests" / "data" / "scans.py").make_scans(tmp_path / "scans-made")
        shutil.copytree(made.folder, tmp_path, dirs_exist_ok=True)

    def pipeline(place):
        tiny = load_helper(PROJECT / "tests" / "generation" / "tiny.py")
        tiny.save(tiny.unclip(), tmp_path / "NAME")

    def hub(place):
        place.hub = request.getfixturevalue("hub_processes").Hub(tmp_path, request.getfixturevalue("forks").run)
        request.addfinalizer(place.hub.close)
        store = request.getfixturevalue("store")
        pictures = store.pictures
        for name, file in zip(pictures["image_id"], pictures["picture_file"], strict=True):
            path = tmp_path / "pictures" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(request.getfixturevalue("store_folder") / file, path)
        np.save(tmp_path / "epochs.npy", 1e-5 * np.random.default_rng(0).standard_normal((40, 4, 90)))

    def first_hour(place):
        page = (PROJECT / "docs" / "first-hour.md").read_text(encoding="utf-8")
        for block in re.findall(r"^```bash\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[:3]:
            place.shell(block)

    def brains(place):
        from neuroclip_hf.data.simulation.god import simulate_god

        counts = {"concepts": 6, "test_concepts": 3, "test_repeats": 4, "imagery_repeats": 2, "voxels": 120}
        simulate_god(tmp_path / "FOLDER", subjects=(1,), images_per_concept=3, image_size=16, snr=4.0, **counts)

    return {
        "recordings": lambda place: make_recordings(tmp_path),
        "store": lambda place: shutil.copytree(request.getfixturevalue("store_folder"), tmp_path / "store"),
        "run": lambda place: shutil.copytree(request.getfixturevalue("run_folder"), tmp_path / "run"),
        "two runs": lambda place: [evaluated(name) for name in ("run-a", "run-b")],
        "arrays": lambda place: place.names.update(pattern_names()),
        "run and epochs": run_and_epochs,
        "tower": tower,
        "scans": scans,
        "patterns": lambda place: make_patterns(tmp_path),
        "pipeline": pipeline,
        "brains": brains,
        "first hour": first_hour,
        "hub": hub,
    }


@pytest.fixture
def workplace(given, tmp_path, monkeypatch, request):
    """Make a folder with these things in it, and work there."""

    def make(things) -> Workplace:
        import datasets

        cache = SimpleNamespace(path=tmp_path / ".cache")
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache.path)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "200")
        place = Workplace(tmp_path)
        request.addfinalizer(place.close)
        for thing in things:
            given[thing](place)
        return place

    return make


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The whole site, built as `make docs` does; warnings are errors there."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    # A proxy that nobody listens at: whatever would be fetched fails.
    offline = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, **offline, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder

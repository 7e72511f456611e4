"""Publish: build the wheel, check it where nothing else of this repository is, push a demo model and its data.

    python hub/release.py NAMESPACE --dry-run     # everything but the pushes
    python hub/release.py NAMESPACE               # needs `hf auth login`, with the right to write there

All that is pushed is pushed by the wheel: what it lacks is found before anybody else finds it. The last line that is
printed is the result as JSON. See README.md beside this file.
"""

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
MODEL, DATA, SPACE = "neuroclip-hf-demo", "neuroclip-hf-demo-data", "neuroclip-hf-demo-space"
TINY = (
    "--subjects",
    "1",
    "--concepts",
    "8",
    "--test-concepts",
    "3",
    "--images-per-concept",
    "2",
    "--image-size",
    "16",
)
TINY_TRAINING = ("epochs=1", "batch_size=16", "encoder_settings.hidden_size=16")
VERBS = """
import json, sys
from neuroclip_hf.cli.main import main

for words in json.loads(sys.argv[1]):
    if code := main(words):
        sys.exit(code)
"""
WHERE = "import neuroclip_hf; print(neuroclip_hf.__file__); print(neuroclip_hf.__version__)"
FOUND = """
import json, sys
from datasets import load_dataset
from transformers import AutoModel, AutoProcessor

model = AutoModel.from_pretrained(sys.argv[1], trust_remote_code=True)
processor = AutoProcessor.from_pretrained(sys.argv[1], trust_remote_code=True)
trials = load_dataset(sys.argv[2], "sub-01", split="test")
print(json.dumps({"model": type(model).__name__, "processor": type(processor).__name__, "trials": len(trials)}))
"""
SPACE_PUSHED = """
import sys
from huggingface_hub import HfApi

space, folder = sys.argv[1:]
HfApi().create_repo(space, repo_type="space", space_sdk="gradio", exist_ok=True)
HfApi().upload_folder(repo_id=space, repo_type="space", folder_path=folder, commit_message="Push the Space")
print(f"https://huggingface.co/spaces/{space}")
"""


class ReleaseError(Exception):
    """Something must be put right before there can be a release; the message says what."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment that holds the wheel.

    Args:
        folder (`Path`): of the environment.
        elsewhere (`Path`): an empty folder in which its programs run, so that they find nothing of the clone.
    """

    folder: Path
    elsewhere: Path

    def program(self, name: str) -> Path:
        """Where one of its programs lies."""
        return self.folder / ("Scripts" if os.name == "nt" else "bin") / name

    def run(self, name: str, *arguments: str | Path) -> str:
        """What one of its programs prints.

        Raises:
            ReleaseError: with what it said, if it fails.
        """
        variables = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "NEUROCLIP"))}
        command = [str(self.program(name)), *map(str, arguments)]
        done = subprocess.run(command, cwd=self.elsewhere, env=variables, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ReleaseError(f"{name} {' '.join(command[1:])} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def verb(self, *arguments: str | Path) -> dict[str, Any]:
        """What a verb of `neuroclip` prints with --json."""
        result: dict[str, Any] = json.loads(self.run("neuroclip", *arguments, "--json").splitlines()[-1])
        return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a release; returns the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        result = release(asked.namespace, asked.out, asked.demo, borrow=asked.borrow, dry_run=asked.dry_run)
    except ReleaseError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result))
    return 0


def release(
    namespace: str, out: Path, demo: Path | None = None, *, borrow: bool = False, dry_run: bool = False
) -> dict[str, Any]:
    """Build, check, push, and load what was pushed.

    Args:
        namespace (`str`): user or organisation on the Hub.
        out (`Path`): new folder for the wheel, its environment and the demo.
        demo (`Path`, *optional*): with `run` and `store`, as `neuroclip demo` leaves it; by default a new one.
        borrow (`bool`): take the libraries of this environment instead of installing them.
        dry_run (`bool`): only list what would be pushed.

    Returns:
        Plain values, for JSON: the wheel, its version, what was pushed, and what came back.

    Raises:
        ReleaseError: if a step fails; those before it are done.
    """
    if not re.fullmatch(r"\w[\w.-]*", namespace):
        raise ReleaseError(f"the namespace is {namespace!r}: name a user or an organisation, without what follows it.")
    if out.exists():
        raise ReleaseError(f"{out} exists: remove it, or name another folder with --out.")
    if demo is not None:
        check_demo(demo)
    out = out.resolve()
    wheel = build_wheel(out)
    environment = make_environment(out, wheel, borrow)
    version = check_wheel(environment, wheel)
    _say("a tiny training from the wheel")
    train_tiny(environment, out / "tiny")
    demo = (demo or make_demo(environment, out / "demo")).resolve()
    model, data = f"{namespace}/{MODEL}", f"{namespace}/{DATA}"
    pushed = push(environment, demo, model, data, dry_run)
    pushed.append(push_space(environment, demo, out / "space", f"{namespace}/{SPACE}", dry_run))
    back = None if dry_run else json.loads(environment.run("python", "-c", FOUND, model, data).splitlines()[-1])
    return {"wheel": str(wheel), "version": version, "dry_run": dry_run, "pushed": pushed, "loaded": back}


def check_demo(demo: Path) -> None:
    """Look at a demo before anything is built.

    Raises:
        ReleaseError: if it is not whole, or not simulated, which the card of the Space says it is.
    """
    report = demo / "run" / "report.json"
    if not report.is_file() or not (demo / "store").is_dir():
        raise ReleaseError(f"{demo} holds no run/report.json and store: name a folder that `neuroclip demo` left.")
    try:
        data = json.loads(report.read_text(encoding="utf-8"))["data"]
    except (ValueError, KeyError, TypeError):
        raise ReleaseError(f"{report} is damaged: run `neuroclip demo` again.") from None
    if data != "simulated":
        raise ReleaseError(f"{demo} is of {data} data, and the Space says that it is simulated: leave --demo out.")


def build_wheel(out: Path) -> Path:
    """The wheel of this clone, in a folder.

    Raises:
        ReleaseError: if hatchling is missing or fails.
    """
    if importlib.util.find_spec("hatchling") is None:
        raise ReleaseError("hatchling builds the wheel and is not installed: pip install --editable '.[dev]'.")
    _say("building the wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out / "dist")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"the wheel could not be built:\n{done.stderr}")
    (wheel,) = (out / "dist").glob("*.whl")
    return wheel


def make_environment(out: Path, wheel: Path, borrow: bool) -> Environment:
    """A fresh virtual environment with the wheel, and its dependencies unless they are borrowed."""
    _say("a fresh virtual environment")
    environment = Environment(out / "venv", out / "elsewhere")
    environment.elsewhere.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment.folder)], check=True)
    if borrow:
        places = {"base": str(environment.folder), "platbase": str(environment.folder)}
        own = Path(sysconfig.get_path("purelib", "venv", vars=places))
        lent = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
        # They come after the environment's own, and what is installed as editable there is not read from a .pth.
        (own / "borrowed.pth").write_text("".join(f"{place}\n" for place in lent), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(environment.program("python")), "install", "--quiet"]
    done = subprocess.run([*pip, *(("--no-deps", "--no-index") if borrow else ()), str(wheel)], check=False)
    if done.returncode:
        raise ReleaseError(f"pip could not install {wheel.name}; see above.")
    return environment


def check_wheel(environment: Environment, wheel: Path) -> str:
    """The version of the wheel, if its environment imports it and nothing else.

    Raises:
        ReleaseError: if the package comes from elsewhere, or its parts do not agree on the version.
    """
    place, version = environment.run("python", "-c", WHERE).splitlines()
    if not Path(place).resolve().is_relative_to(environment.folder.resolve()):
        raise ReleaseError(f"the fresh environment imports {place}, and not the wheel.")
    said = environment.run("neuroclip", "--version").split()[-1]
    if not said == version == wheel.name.split("-")[1]:
        raise ReleaseError(f"{wheel.name} holds version {version}, and `neuroclip --version` says {said}.")
    return version


def train_tiny(environment: Environment, folder: Path) -> None:
    """Simulate, prepare, train and evaluate with the wheel alone; the folder is gone afterwards."""
    recordings, store, run = (str(folder / name) for name in ("recordings", "store", "run"))
    verbs = [
        ["simulate", "things-eeg2", "--out", recordings, *TINY],
        ["prepare", "things-eeg2", "--source", recordings, "--out", store],
        ["train", "demo", *TINY_TRAINING, "--data", store, "--out", run],
        ["evaluate", run, "--data", store],
    ]
    environment.run("python", "-c", VERBS, json.dumps(verbs))  # one process: importing takes longest
    report = json.loads((folder / "run" / "report.json").read_text(encoding="utf-8"))
    if report["data"] != "simulated":
        raise ReleaseError(f"the tiny training reports {report['data']} data, which were simulated.")
    shutil.rmtree(folder)


def make_demo(environment: Environment, folder: Path) -> Path:
    """What `neuroclip demo` of the wheel makes."""
    _say("the demo, about two minutes")
    environment.verb("demo", "--out", folder)
    return folder


def push(environment: Environment, demo: Path, model: str, data: str, dry_run: bool) -> list[dict[str, Any]]:
    """Push, or list, the demo's run and its store by the verbs of the wheel.

    Raises:
        ReleaseError: if one of them is refused.
    """
    _say("what would be pushed" if dry_run else "pushing")
    options = ("--dry-run",) if dry_run else ()
    run, store = demo / "run", demo / "store"
    return [
        environment.verb("push", run, "--repo-id", model, "--data", store, *options),
        environment.verb("push-data", store, "--repo-id", data, *options),
    ]


def push_space(environment: Environment, demo: Path, folder: Path, space: str, dry_run: bool) -> dict[str, Any]:
    """Put the Space together, and push it, or list it, by the libraries of the wheel's environment.

    Raises:
        ReleaseError: if it cannot be made, or is refused.
    """
    environment.verb("space", demo / "run", "--data", demo / "store", "--out", folder)
    for path in sorted((PROJECT / "hub" / "space").iterdir()):
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    url = None if dry_run else environment.run("python", "-c", SPACE_PUSHED, space, folder).splitlines()[-1]
    return {"repo_id": space, "files": dict(sorted(files.items())), "bytes": sum(files.values()), "url": url}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("namespace", help="User or organisation on the Hub.")
    parser.add_argument("--out", type=Path, default=Path("release"), help="New folder for the wheel and the demo.")
    parser.add_argument("--demo", type=Path, help="Folder that `neuroclip demo` left, in place of a new demo.")
    parser.add_argument(
        "--borrow", action="store_true", help="Take the libraries of this environment; no index is asked."
    )
    parser.add_argument("--dry-run", action="store_true", help="Only list what would be pushed.")
    return parser


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

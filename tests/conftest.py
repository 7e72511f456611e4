"""What every test starts from: no network, fixed seeds, one thread, and the real data where they are at hand."""

import importlib.util
import os
import random
import shutil
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest

# Read when the libraries are imported, hence before any test module.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# Models are tiny: two threads would wait for each other, and on a busy machine for a hundred times the work.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

PROJECT = Path(__file__).resolve().parents[1]
SEED = 20260
# A busy machine is no slow function.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def seeded():
    """Seed every source of chance; torch only where a test has imported it, since many need none."""
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 - libraries draw from NumPy's global state
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(SEED)


@pytest.fixture(scope="session")
def project() -> Path:
    """The root of the project."""
    return PROJECT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings, named by NEUROCLIP_REAL_DATA; a test that asks for it skips without."""
    folder = Path(os.environ.get("NEUROCLIP_REAL_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: NEUROCLIP_REAL_DATA names the folder")
    return folder


TINY_MODEL = {
    "encoder_settings": {"hidden_size": 16, "dropout": 0.2},
    "prompt": {"num_prompt_tokens": 2},
    "projection_dim": 16,
}


@pytest.fixture(scope="session")
def tiny_overrides() -> dict[str, object]:
    """Settings that make any recipe a matter of seconds, as `load_recipe` takes them."""
    return {**TINY_MODEL, "epochs": 2, "batch_size": 16, "noise": 0.1, "average": [1, 2]}


@pytest.fixture(scope="session")
def tiny_words() -> list[str]:
    """The same, as words of a command line."""
    encoder = [f"encoder_settings.{key}={value}" for key, value in TINY_MODEL["encoder_settings"].items()]
    return [*encoder, "projection_dim=16", "epochs=2", "batch_size=16"]


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> Path:
    """Recordings of two subjects in THINGS-EEG2's raw layout: ten training concepts, six test concepts."""
    from neuroclip_hf.data.simulation.things_eeg2 import simulate_things_eeg2

    folder = tmp_path_factory.mktemp("simulated") / "recordings"
    simulate_things_eeg2(
        folder,
        subjects=(1, 2),
        concepts=10,
        test_concepts=6,
        images_per_concept=2,
        train_repeats=2,
        test_repeats=4,
        sessions=2,
        snr=2.0,
        image_size=16,
        sampling_rate=100,
        channels=("P7", "P8", "O1", "Oz", "O2"),
    )
    return folder


@pytest.fixture(scope="session")
def store_folder(simulated, tmp_path_factory) -> Path:
    """The trial store of `simulated`, with four of its channels."""
    from neuroclip_hf.data.epochs import EpochSettings
    from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2

    settings = EpochSettings(window=(0.0, 0.6), baseline=(-0.2, 0.0), sampling_rate=50.0)
    folder = tmp_path_factory.mktemp("prepared") / "store"
    prepare_things_eeg2(simulated, folder, channels=("P7", "O1", "Oz", "O2"), epochs=settings)
    return folder


@pytest.fixture(scope="session")
def store(store_folder):
    """`store_folder`, opened."""
    from neuroclip_hf.data.store import TrialStore

    return TrialStore(store_folder)


@pytest.fixture(scope="session")
def recipe(tiny_overrides):
    """The demo's recipe made tiny."""
    from neuroclip_hf.training.settings import load_recipe

    return load_recipe("demo", tiny_overrides)


@pytest.fixture(scope="session")
def trained(recipe, store):
    """A model trained on `store`; not to be changed."""
    from neuroclip_hf.protocols.run import train_on_store

    trained = train_on_store(recipe, store)
    trained.model.eval()
    return trained


@pytest.fixture(scope="session")
def run_folder(trained, recipe, tmp_path_factory) -> Path:
    """`trained`, saved; not to be changed: tests that do take `run_copy`."""
    from neuroclip_hf.protocols.run import save_run

    folder = tmp_path_factory.mktemp("saved") / "run"
    save_run(trained, recipe, folder)
    return folder


@pytest.fixture
def run_copy(run_folder, tmp_path) -> Path:
    """A copy of the saved run."""
    return Path(shutil.copytree(run_folder, tmp_path / "run"))


@pytest.fixture
def array_store(tmp_path):
    """Make a trial store from arrays: 5 repeats of 8 training and 2 test pictures, each its own concept."""
    from neuroclip_hf.data.sources.arrays import prepare_arrays
    from neuroclip_hf.data.store import TrialStore

    def make(name="arrays", seed=0, protocol="new-concepts", **changes):
        generator = np.random.default_rng(seed)
        image_id = np.arange(50) % 10
        arrays = {
            "brain": generator.standard_normal((50, 3, 20)) * 1e-5,
            "images": generator.integers(0, 256, (10, 16, 16, 3), dtype=np.uint8),
            "image_id": image_id,
            "split": np.where(image_id < 8, "train", "test"),
            "channel_names": np.array(["P7", "O1", "O2"]),
            "sampling_rate": 50.0,
            "unit": "V",
            **changes,
        }
        np.savez(tmp_path / f"{name}.npz", **{key: value for key, value in arrays.items() if value is not None})
        return TrialStore(prepare_arrays(tmp_path / f"{name}.npz", tmp_path / name, protocol=protocol))

    return make


@pytest.fixture(scope="session")
def pattern_stores():
    """The functions of `patterns.py`: `write_patterns(path)` writes a store of two subjects with unlike voxels."""
    spec = importlib.util.spec_from_file_location("patterns", Path(__file__).with_name("patterns.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def helper_of_tests(name):
    """A module that lies beside this file."""
    sys.path.insert(0, str(Path(__file__).parent))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="session")
def forks():
    """Runs programs in processes of their own that start quickly, see `forks.py`."""
    made = helper_of_tests("forks").Forks()
    yield made
    made.close()


@pytest.fixture(scope="session")
def hub_processes():
    """The module `hub_processes.py`."""
    return helper_of_tests("hub_processes")


@pytest.fixture
def hub(hub_processes, forks, tmp_path):
    """A stand-in of the Hub with nothing on it, see `hub_processes.py`."""
    (tmp_path / "hub").mkdir()
    made = hub_processes.Hub(tmp_path / "hub", forks.run)
    yield made
    made.close()


@pytest.fixture(scope="session")
def god_store(tmp_path_factory) -> Path:
    """A small Generic Object Decoding, simulated with little noise: six training and three test concepts, imagery."""
    pytest.importorskip("h5py")
    from neuroclip_hf.data.simulation.god import simulate_god
    from neuroclip_hf.data.sources.god import prepare_god

    folder = tmp_path_factory.mktemp("god")
    counts = {"concepts": 6, "test_concepts": 3, "test_repeats": 4, "imagery_repeats": 2, "voxels": 120}
    simulate_god(folder / "recordings", subjects=(1, 2), images_per_concept=3, image_size=16, snr=4.0, **counts)
    return prepare_god(folder / "recordings", folder / "store")


@pytest.fixture(scope="session")
def god_reproduction(god_store, tmp_path_factory) -> Path:
    """Ridge regression for each subject of `god_store`; not to be changed: tests that do copy it."""
    from neuroclip_hf.data.store import TrialStore
    from neuroclip_hf.protocols.reproduce.main import reproduce
    from neuroclip_hf.training.settings import load_recipe

    recipe = load_recipe("brainclip-ridge", {"encoder_settings.folds": 3})
    folder = tmp_path_factory.mktemp("god_runs") / "ridge"
    reproduce(recipe, TrialStore(god_store), folder, protocol="intra", seeds=1)
    return folder


@pytest.fixture
def snapshot():
    """Every file below a folder, with its bytes."""
    return lambda folder: {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.fixture
def on_ranks(forks, tmp_path):
    """Call a function of a test file, `function(rank, world)`, on so many processes: {world: what each returned}."""

    def run(function, worlds):
        import torch

        if not torch.distributed.is_gloo_available() or not hasattr(os, "fork"):
            pytest.skip("needs gloo and fork")
        program = "import runpy, sys\nsys.argv.pop(0)\nrunpy.run_path(sys.argv[0], run_name='__main__')"
        words = (PROJECT / "tests" / "ranks.py", function.__code__.co_filename, function.__name__, tmp_path, *worlds)
        done = forks.run(program, *words, environment=os.environ, cwd=PROJECT)
        assert done.returncode == 0, done.stderr
        return {
            world: [torch.load(tmp_path / f"{world}-{rank}.pt", weights_only=True) for rank in range(world)]
            for world in worlds
        }

    return run

"""`simulate` and `prepare`: one JSON line, whole outputs, and an existing one left alone."""

import numpy as np
import pytest

from neuroclip_hf import TrialStore

SMALL = [
    "--concepts", 4, "--test-concepts", 2, "--images-per-concept", 1, "--train-repeats", 1, "--test-repeats", 1,
    "--sessions", 1, "--image-size", 16, "--rate", 100, "--channels", "O1,Oz",
]  # fmt: skip


@pytest.fixture
def npz(tmp_path):
    generator = np.random.default_rng(0)
    np.savez(
        tmp_path / "mine.npz",
        brain=generator.standard_normal((8, 2, 10)),
        images=generator.integers(0, 256, (4, 8, 8), dtype=np.uint8),
        image_id=np.arange(8) % 4,
        split=np.array(["train", "train", "train", "test"] * 2),
        sampling_rate=20.0,
    )
    return tmp_path / "mine.npz"


def test_simulate_then_prepare(neuroclip, tmp_path):
    made = neuroclip("simulate", "things-eeg2", "--out", tmp_path / "sim", *SMALL, "--subjects", "2", "--json").result
    assert (made["data"], made["subjects"], made["channels"]) == ("simulated", [2], ["O1", "Oz"])
    words = ("--source", tmp_path / "sim", "--channels", "Oz", "--subjects", "2", "--rate", 50, "--window", "0,0.5")
    store = neuroclip("prepare", "things-eeg2", *words, "--out", tmp_path / "store", "--json").result
    assert (store["channels"], store["num_timesteps"], store["subjects"]) == (1, 25, ["sub-02"])
    assert (store["train_trials"], store["test_trials"], store["data"]) == (4, 2, "simulated")
    assert {path.name for path in tmp_path.iterdir()} == {"sim", "store", "store.log"}
    assert neuroclip("prepare", "things-eeg2", *words, "--out", tmp_path / "b", "--pictures-may-be-shared").code == 0
    assert [TrialStore(tmp_path / name).info.redistribute_pictures for name in ("store", "b")] == [False, True]


def test_prepare_arrays(neuroclip, npz, tmp_path):
    store = neuroclip("prepare", "arrays", npz, "--out", tmp_path / "store", "--json").result
    assert (store["train_trials"], store["test_trials"], store["protocol"]) == (6, 2, "new-concepts")
    outcome = neuroclip("prepare", "arrays", npz, "--out", tmp_path / "again")
    assert outcome.code == 0
    assert "new-concepts" in outcome.out


def test_prepare_recordings(neuroclip, simulated, tmp_path):
    files = [simulated / "sub-01" / session / "raw_eeg_test.npy" for session in ("ses-01", "ses-02")]
    store = neuroclip(
        "prepare", "recordings", *files, "--pictures", simulated / "test_images", "--out", tmp_path / "store",
        "--window", "0,0.5", "--baseline", "-0.1,0", "--filter", "1,20", "--rate", 50, "--channels", "O1,O2",
        "--protocol", "new-trials", "--test-part", 0.5, "--json",
    ).result  # fmt: skip
    assert (store["channels"], store["num_timesteps"], store["protocol"]) == (2, 25, "new-trials")
    assert store["test_trials"] == 12


def test_existing_outputs_are_left_alone(refused, neuroclip, npz, simulated, tmp_path, snapshot):
    for name in ("sim", "store"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").write_text("mine")
    before = snapshot(tmp_path)
    for words in (
        ("simulate", "things-eeg2", "--out", tmp_path / "sim", *SMALL),
        ("prepare", "arrays", npz, "--out", tmp_path / "store"),
        ("prepare", "things-eeg2", "--source", simulated, "--out", tmp_path / "store"),
        ("prepare", "recordings", simulated / "x.fif", "--pictures", simulated, "--out", tmp_path / "store"),
    ):
        assert "--overwrite" in refused(*words)
        assert snapshot(tmp_path) == before


def test_a_store_is_replaced_when_asked(neuroclip, npz, tmp_path):
    words = ("prepare", "arrays", npz, "--out", tmp_path / "store", "--json")
    first = neuroclip(*words).result
    (tmp_path / "store" / "stray").write_text("old")
    assert neuroclip(*words, "--overwrite").result == first
    assert not (tmp_path / "store" / "stray").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--window", "none"], "--window 'none'"),
        (["--window", "1"], "--window '1'"),
        (["--baseline", "a,b"], "--baseline"),
        (["--channels", "O1,XX"], "XX"),
        (["--subjects", "7"], "7"),
        (["--rate", "fast"], "--rate"),
        (["--whitening", "trial"], "trial"),
    ],
)
def test_bad_values(refused, simulated, tmp_path, words, message):
    assert message in refused("prepare", "things-eeg2", "--source", simulated, "--out", tmp_path / "store", *words)
    assert not list(tmp_path.iterdir())


def test_simulation_subjects_are_numbers(refused, tmp_path):
    assert "--subjects 'a'" in refused("simulate", "things-eeg2", "--out", tmp_path / "x", "--subjects", "a")


def test_data_verbs_load_no_torch(npz, tmp_path):
    import subprocess
    import sys

    code = (
        "import sys; from neuroclip_hf.cli.main import main; "
        f"code = main(['prepare', 'arrays', {str(npz)!r}, '--out', {str(tmp_path / 'store')!r}, '--json']); "
        "sys.exit(code or 3 * ('torch' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0

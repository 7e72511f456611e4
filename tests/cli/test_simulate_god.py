"""`simulate god`: one JSON line, a whole folder, and what is refused."""

import json

import pytest

pytest.importorskip("h5py", reason="the extra fmri brings it")

SMALL = [
    "--concepts", 4, "--test-concepts", 3, "--images-per-concept", 2, "--test-repeats", 2, "--imagery-repeats", 1,
    "--voxels", 120, "--image-size", 16,
]  # fmt: skip


def test_simulate_god(neuroclip, tmp_path):
    made = neuroclip("simulate", "god", "--out", tmp_path / "god", *SMALL, "--subjects", "2,1", "--json").result
    assert (made["recordings"], made["data"]) == (str(tmp_path / "god"), "simulated")
    assert (made["subjects"], made["concepts"], made["voxels"], made["imagery_repeats"]) == ([2, 1], 4, 120, 1)
    assert {path.name for path in (tmp_path / "god").glob("*.h5")} == {"Subject1.h5", "Subject2.h5"}
    written = json.loads((tmp_path / "god" / "simulation.json").read_text())
    assert written["layout"] == "god"
    assert {name: made[name] for name in written["settings"]} == written["settings"]


def test_bad_input_is_refused_and_nothing_is_left(refused, neuroclip, tmp_path):
    out = ("simulate", "god", "--out", tmp_path / "god", *SMALL)
    assert "--subjects 'one'" in refused(*out, "--subjects", "one")
    assert "voxels is 3" in refused(*out, "--voxels", 3)
    assert not list(tmp_path.iterdir())
    assert neuroclip(*out).code == 0
    assert "--overwrite" in refused(*out)
    assert neuroclip(*out, "--overwrite").code == 0

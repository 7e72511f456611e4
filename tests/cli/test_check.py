"""`check`: what it prints, and its exit code."""

import json
import shutil


def test_a_sound_store(neuroclip, store_folder):
    found = neuroclip("check", store_folder, "--json").result
    assert (found["sound"], found["trials"], found["problems"]) == (True, 128, [])
    outcome = neuroclip("check", store_folder)
    assert (outcome.code, outcome.err) == (0, "")
    assert "none" in outcome.out


def test_a_damaged_store_exits_with_2_and_names_the_file(neuroclip, store_folder, tmp_path):
    path = tmp_path / "store"
    shutil.copytree(store_folder, path)
    (path / "sub-01" / "covariance.npy").unlink()
    outcome = neuroclip("check", path, "--json")
    assert outcome.code == 2
    found = json.loads(outcome.out)
    assert found["sound"] is False
    assert [one["file"] for one in found["problems"]] == ["sub-01/covariance.npy"]
    assert outcome.err.startswith(f"Error: {path}/sub-01/covariance.npy: it is missing: make the store again")
    plain = neuroclip("check", path)
    assert plain.code == 2
    assert "sub-01/covariance.npy" in plain.out


def test_what_is_no_store(refused, tmp_path):
    assert "is not a trial store" in refused("check", tmp_path)

"""A store to the stand-in of the Hub and back, and what goes wrong on the way."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from neuroclip_hf import columns
from neuroclip_hf.data.parquet import layout
from neuroclip_hf.data.store_info import read_store_info, write_store_info
from neuroclip_hf.data.store_layout import PICTURES_FOLDER
from neuroclip_hf.errors import InputError
from neuroclip_hf.sharing.hub import pulling

LOAD = """
import json, sys
import numpy as np
from datasets import load_dataset
rows = load_dataset(sys.argv[1], sys.argv[2], split=sys.argv[3], revision=sys.argv[4])
values = np.asarray(rows.with_format("numpy", dtype=np.float16)["eeg_values"][:], dtype=np.float16)
print(json.dumps({"values": values.tobytes().hex(), "concepts": rows["concept"][:]}))
"""
PUSH = ("push-data", "--repo-id", "user/data", "--json")
PULL = ("pull", "user/data", "--dataset", "--json", "--out")


@pytest.fixture
def pushed(hub, store_folder):
    """A stand-in with a store on it, and what the push said."""
    return hub, hub.neuroclip(*PUSH, store_folder).result


def uploads(hub):
    return [one.split("/")[-1] for one in hub.state()["requests"] if one.startswith("PUT ")]


def test_a_store_comes_back_byte_by_byte_and_load_dataset_reads_the_same_numbers(
    pushed, store, store_folder, tmp_path, snapshot
):
    hub, made = pushed
    assert hub.state()["commits"] == {
        "datasets/user/data": {"main": ["initial commit", "Push a trial store of neuroclip_hf"]}
    }
    assert made["left_out"] == ["pictures: the store does not say that they may be redistributed."]
    found = hub.python(LOAD, "user/data", "sub-01", "test", made["commit"], who=None, home="reader").result
    rows = store.select(columns.TEST, ["sub-01"])
    assert found["concepts"] == store.trials[columns.CONCEPT].iloc[rows].tolist()
    assert found["values"] == np.load(store_folder / "sub-01" / "test.npy").tobytes().hex()
    pictures = store_folder / PICTURES_FOLDER
    hub.neuroclip(*PULL, tmp_path / "again", "--pictures", pictures, who=None, home="other").result  # noqa: B018
    assert snapshot(tmp_path / "again") == snapshot(store_folder)


@pytest.mark.parametrize("redistributable", [False, True])
def test_pictures_go_up_only_if_the_store_says_so(hub, store_folder, tmp_path, redistributable):
    copy = tmp_path / "store"
    shutil.copytree(store_folder, copy)
    write_store_info(copy, replace(read_store_info(copy), redistribute_pictures=redistributable))
    _, back = hub.verbs((*PUSH, copy), (*PULL, tmp_path / "again"))
    assert back.code == 0
    assert (tmp_path / "again" / PICTURES_FOLDER).is_dir() == redistributable
    cached = next((hub.folder / "home").rglob(f"{layout.PICTURES}/*.parquet"))
    assert (layout.IMAGE in pq.read_schema(cached).names) == redistributable


def test_a_push_that_was_cut_sends_the_rest_alone(hub, store_folder):
    hub.state(cut_uploads_after=2)
    said = hub.neuroclip(*PUSH, store_folder).complaint
    assert "user/data: the connection was cut" in said
    assert "give the same command again, and only the rest is sent" in said
    sent = uploads(hub)
    assert hub.state()["commits"]["datasets/user/data"] == {"main": ["initial commit"]}
    hub.heal()
    made = hub.neuroclip(*PUSH, store_folder).result
    again = uploads(hub)
    large = [name for name in made["files"] if name.endswith((".parquet", ".npy"))]
    assert len(set(sent) | set(again)) == len(large)
    assert len(again) == len(large) - 2
    assert hub.state()["commits"]["datasets/user/data"]["main"][1:] == ["Push a trial store of neuroclip_hf"]
    assert uploads(hub) == again
    assert (
        hub.neuroclip(*PUSH, store_folder).result["commit"] == made["commit"]
    )  # nothing new: no commit, nothing sent
    assert uploads(hub) == again


def test_who_may_not_write_is_told_so(hub, store_folder):
    for who, message in (("reader", "no right to write there"), ("stranger", "no right"), (None, "no valid token")):
        said = hub.neuroclip(*PUSH, store_folder, who=who, home=f"of {who}").complaint
        assert "user/data: nothing was pushed." in said
        assert message in said
        assert "hf auth login" in said
    assert hub.state()["commits"] == {}


def test_somebody_elses_commit_is_not_written_over_and_a_public_repository_is_not_private(hub, store_folder):
    hub.state(commit_first=True)
    conflict, again, private = hub.verbs(*([(*PUSH, store_folder)] * 2), (*PUSH, store_folder, "--private"))
    assert "Somebody has changed it since this push began" in conflict.complaint
    assert again.code == 0
    titles = hub.state()["commits"]["datasets/user/data"]["main"]
    assert titles == ["initial commit", "somebody else's", "Push a trial store of neuroclip_hf"]
    assert "user/data exists and is public: nothing was pushed" in private.complaint


def test_what_an_earlier_push_left_is_taken_away_and_what_others_put_there_stays(hub, store_folder):
    hub.state(commit_first=True)
    words = (*PUSH, store_folder)
    done = hub.verbs(words, words)
    files = set(done[1].result["files"])
    listed = hub.python(
        "import json, sys\nfrom huggingface_hub import HfApi\n"
        "api = HfApi()\napi.upload_file(path_or_fileobj=b'x', path_in_repo='data/sub-99/test-0.parquet', "
        "repo_id='user/data', repo_type='dataset')\n"
        "from neuroclip_hf.cli.main import main\nassert main(sys.argv[1:]) == 0\n"
        "print(json.dumps(api.list_repo_files('user/data', repo_type='dataset')))",
        *words,
    ).result
    assert set(listed) == files | {".gitattributes", "THEIRS.md"}


def test_a_damaged_download_is_named_and_fetched_again(pushed, store_folder, tmp_path):
    hub, made = pushed
    name = next(name for name in made["files"] if name.startswith(f"{layout.TRIALS}/sub-01/test"))
    hub.state(damage=name.split("/")[-1])
    said = hub.neuroclip(*PULL, tmp_path / "again", home="other").complaint
    assert f"dataset user/data: {layout.TRIALS}/sub-01/test-00000-of-00001.parquet" in said
    assert "was damaged on its way" in said
    assert not (tmp_path / "again").exists()
    hub.heal()
    assert hub.neuroclip(*PULL, tmp_path / "again", home="other").code == 0
    assert (tmp_path / "again" / "sub-01" / "test.npy").read_bytes() == (
        store_folder / "sub-01" / "test.npy"
    ).read_bytes()


def test_damage_that_two_files_share_is_named_once_and_removed(tmp_path, monkeypatch):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot" / "control").mkdir(parents=True)
    blob = tmp_path / "blobs" / ("0" * 40)
    blob.write_bytes(b"damaged")
    names = ("config.json", "control/config.json")
    for name in names:
        (tmp_path / "snapshot" / name).symlink_to(blob)
    monkeypatch.setattr(pulling, "snapshot_download", lambda *_, **__: tmp_path / "snapshot")
    with pytest.raises(InputError, match=r"user/name: config\.json, control/config\.json was damaged"):
        pulling.pull_run("user/name", tmp_path / "out")
    assert not blob.exists()
    assert not [name for name in names if (tmp_path / "snapshot" / name).is_symlink()]


def test_without_a_connection_a_warm_cache_is_enough_and_a_cold_one_says_what_is_missing(pushed, tmp_path):
    hub, _ = pushed
    cold = hub.neuroclip(*PULL, tmp_path / "cold", home="other", offline=True).complaint
    assert "dataset user/data is not whole in the cache of this machine, and the Hub cannot be reached" in cold
    assert "pull it once with a connection" in cold
    assert hub.neuroclip(*PULL, tmp_path / "warm", home="other").code == 0
    offline, push = hub.verbs((*PULL, tmp_path / "again"), (*PUSH, tmp_path / "warm"), home="other", offline=True)
    assert json.loads(offline.out)["store"] == str(tmp_path / "again")
    assert "user/data cannot be reached: HF_HUB_OFFLINE is set; unset it to push" in push.complaint


def test_what_is_no_store_or_not_there_is_refused(hub, store_folder, tmp_path):
    done = hub.verbs(
        (*PUSH, store_folder),
        ("pull", "user/data", "--out", tmp_path / "x"),
        ("pull", "user/none", "--dataset", "--out", tmp_path / "x"),
        ("pull", "user/none", "--pictures", tmp_path, "--out", tmp_path / "x"),
        ("push-data", tmp_path, "--repo-id", "user/data"),
    )
    assert (
        "model user/data does not exist, or is private and not yours: correct its name, say --dataset"
        in done[1].complaint
    )
    assert "dataset user/none does not exist" in done[2].complaint
    assert "--pictures" in done[3].complaint
    assert "is not a trial store" in done[4].complaint

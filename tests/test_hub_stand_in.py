"""The stand-in behaves as the Hub does, as far as our tests lean on it."""

import json

import pytest

UPLOAD = """
import json, sys
from huggingface_hub import HfApi
api = HfApi()
api.create_repo(sys.argv[1], private=sys.argv[2] == "private", exist_ok=True)
print(json.dumps(api.upload_folder(repo_id=sys.argv[1], folder_path=sys.argv[3]).oid))
"""
DOWNLOAD = """
import json, sys
from pathlib import Path
from huggingface_hub import snapshot_download
folder = Path(snapshot_download(sys.argv[1], revision=sys.argv[2]))
files = {path.name: path.read_bytes().hex() for path in folder.rglob("*") if path.is_file()}
print(json.dumps({"files": files, "commit": folder.name}))
"""


@pytest.fixture
def folder(tmp_path):
    """A text, and a large file."""
    made = tmp_path / "files"
    made.mkdir()
    (made / "text.json").write_text("{}")
    (made / "large.csv").write_text("1,2,3\n" * 2_000_000)  # too large for a regular file
    return made


def test_what_was_uploaded_is_downloaded_by_another_process(hub, folder):
    commit = hub.python(UPLOAD, "user/name", "public", folder).result
    asked = hub.state()["requests"]
    assert len([one for one in asked if one.startswith("PUT /_lfs/")]) == 1
    found = hub.python(DOWNLOAD, "user/name", "main", who=None, home="other").result
    assert found["commit"] == commit
    assert bytes.fromhex(found["files"]["large.csv"]) == (folder / "large.csv").read_bytes()
    assert bytes.fromhex(found["files"]["text.json"]) == b"{}"
    (folder / "text.json").write_text(json.dumps({"a": 1}))
    hub.python(UPLOAD, "user/name", "public", folder).result  # noqa: B018 - asserts that it ended well
    first = hub.python(DOWNLOAD, "user/name", commit, who=None, home="third").result
    assert bytes.fromhex(first["files"]["text.json"]) == b"{}"


@pytest.mark.parametrize(
    ("who", "name", "message"),
    [("reader", "user/name", "403"), ("stranger", "user/name", "403"), (None, "user/name", "401")],
)
def test_who_may_not_write_is_told(hub, folder, who, name, message):
    done = hub.python(UPLOAD, name, "public", folder, who=who)
    assert done.code == 1
    assert message in done.err
    assert hub.state()["commits"] == {}


def test_private_repositories_are_there_for_their_owner_alone(hub, folder):
    assert hub.python(UPLOAD, "user/name", "private", folder).code == 0
    assert hub.state()["private"] == ["user/name"]
    assert hub.python(DOWNLOAD, "user/name", "main", who="reader", home="other").code == 0
    for who in ("stranger", None):
        assert "RepositoryNotFoundError" in hub.python(DOWNLOAD, "user/name", "main", who=who, home=f"of {who}").err

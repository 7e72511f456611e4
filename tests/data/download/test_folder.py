"""A folder of downloaded files: what is kept, brought, refused and replaced."""

import errno
import os
import threading
from types import SimpleNamespace

import pytest

from neuroclip_hf.data.download import Downloaded, folder
from neuroclip_hf.data.download import download as bring
from neuroclip_hf.errors import InputError

FILES = {"sub-01/ses-01/raw_eeg_test.npy": b"one", "sub-01/ses-02/raw_eeg_test.npy": b"two two"}


@pytest.fixture
def to(tmp_path):
    return tmp_path / "to"


@pytest.fixture
def download(to, impatient):
    return lambda *sources, **options: bring(sources, to, patience=impatient, **options)


@pytest.fixture
def recording(archive_source):
    return archive_source(FILES)


@pytest.fixture
def visible(to):
    """Every file with its bytes, those of the download itself left out."""
    return lambda: {
        path.relative_to(to).as_posix(): path.read_bytes()
        for path in sorted(to.rglob("*"))
        if path.is_file() and ".downloads" not in path.parts
    }


def leftovers(to):
    return sorted(path.name for path in (to / ".downloads").iterdir() if not path.name.endswith(".lock"))


def test_archives_are_unpacked_and_files_put_beside(download, recording, source, content, visible, to):
    assert download(source(), recording) == [
        Downloaded("file.bin", "downloaded", 1, len(content)),
        Downloaded("sub-01", "downloaded", 2, 10),
    ]
    assert visible() == {**FILES, "file.bin": content}
    assert leftovers(to) == ["file.bin.receipt.json", "sub-01.zip.receipt.json"]


def test_complete_files_are_kept_without_a_request(download, recording, source, server, visible):
    download(source(), recording)
    before, server.requests = visible(), []
    assert [one.state for one in download(source(), recording)] == ["kept", "kept"]
    assert server.requests == []
    assert visible() == before


def test_an_interrupted_download_goes_on(download, recording, server, visible):
    server.script = ["break 50", "status 404"]
    with pytest.raises(InputError, match="404"):
        download(recording)
    assert visible() == {}
    server.requests.clear()
    assert download(recording)[0].state == "resumed"
    assert [request[1] for request in server.requests] == ["bytes=50-"]
    assert visible() == FILES


@pytest.mark.parametrize("step", ["unpack", "write_receipt", "_move"])
def test_stopped_at_any_step_the_next_run_ends_the_same(download, recording, server, visible, to, monkeypatch, step):
    original = getattr(folder, step)
    for before in (True, False):
        with monkeypatch.context() as patched:

            def stop(*arguments, before=before):
                if not before:
                    original(*arguments)
                raise KeyboardInterrupt

            patched.setattr(folder, step, stop)
            with pytest.raises(KeyboardInterrupt):
                download(recording)
        assert visible() in ({}, FILES)
    download(recording)
    assert visible() == FILES
    assert leftovers(to)[-1] == "sub-01.zip.receipt.json"
    assert len(server.requests) == 1


def test_what_a_killed_process_left_unpacked_is_removed(download, recording, visible, to):
    stale = to / ".downloads" / "sub-01.zip.unpacked" / "sub-01" / "ses-01"
    stale.mkdir(parents=True)
    (stale / "raw_eeg_test.npy").write_bytes(b"half")
    download(recording)
    assert visible() == FILES
    assert leftovers(to) == ["sub-01.zip.receipt.json"]


def test_a_missing_file_is_brought_back_and_the_others_stay(download, recording, visible, to):
    download(recording)
    lost, stays = (to / name for name in FILES)
    lost.unlink()
    (stays.parent / "mine.txt").write_bytes(b"mine")
    inode = stays.stat().st_ino
    assert download(recording)[0].state == "downloaded"
    assert visible() == {**FILES, "sub-01/ses-02/mine.txt": b"mine"}
    assert stays.stat().st_ino == inode
    assert download(recording)[0].state == "kept"


@pytest.mark.parametrize("changed", [b"ONE", b"longer"])
def test_a_changed_file_is_named_and_only_replaced_on_request(download, recording, server, visible, to, changed):
    download(recording)
    (to / "sub-01/ses-01/raw_eeg_test.npy").write_bytes(changed)
    server.requests.clear()
    with pytest.raises(InputError, match=r"ses-01/raw_eeg_test.npy was changed after its download .*--overwrite"):
        download(recording)
    assert server.requests == []
    assert visible()["sub-01/ses-01/raw_eeg_test.npy"] == changed
    download(recording, overwrite=True)
    assert visible() == FILES


def test_a_file_of_another_size_is_noticed_whatever_its_date_says(download, recording, to):
    download(recording)
    path = to / "sub-01/ses-01/raw_eeg_test.npy"
    changed = path.stat().st_mtime_ns
    path.write_bytes(b"longer")
    os.utime(path, ns=(changed, changed))
    with pytest.raises(InputError, match="was changed after its download"):
        download(recording)


def test_a_touched_file_with_the_same_bytes_is_kept(download, recording, server, to):
    download(recording)
    os.utime(to / "sub-01/ses-01/raw_eeg_test.npy", (1, 1))
    server.requests.clear()
    assert download(recording)[0].state == "kept"
    assert server.requests == []


def test_files_of_somebody_else_are_refused_before_a_request(download, recording, source, server, visible, to):
    mine = to / "sub-01/ses-01/raw_eeg_test.npy"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(InputError, match="sub-01 exists, and no download put it there"):
        download(source(), recording)
    assert server.requests == []
    assert visible() == {"sub-01/ses-01/raw_eeg_test.npy": b"mine"}
    download(recording, overwrite=True)
    assert visible() == FILES


def test_an_archive_that_has_changed_meanwhile_is_not_mixed_in(download, recording, archive_source, visible, to):
    download(recording)
    (to / "sub-01/ses-01/raw_eeg_test.npy").unlink()
    changed = archive_source({**FILES, "sub-01/ses-02/raw_eeg_test.npy": b"2"})
    before = visible()
    with pytest.raises(InputError, match=r"ses-02/raw_eeg_test.npy differs from the one in sub-01.zip"):
        download(changed)
    assert visible() == before


def test_a_folder_where_the_archive_has_a_file_is_refused(download, recording, to):
    (to / "sub-01/ses-01/raw_eeg_test.npy").mkdir(parents=True)
    with pytest.raises(InputError, match="a file and a folder share this name"):
        download(recording, overwrite=True)


def test_a_known_file_that_somebody_else_brought_is_kept(download, source, server, content, to):
    to.mkdir()
    (to / "file.bin").write_bytes(content)
    assert download(source()) == [Downloaded("file.bin", "kept", 1, len(content))]
    assert server.requests == []
    (to / "file.bin").write_bytes(content[1:])
    with pytest.raises(InputError, match="no download put it there"):
        download(source())
    assert download(source(), overwrite=True)[0].state == "downloaded"
    assert (to / "file.bin").read_bytes() == content


def test_a_hostile_archive_leaves_nothing(download, archive_source, visible, to, tmp_path):
    with pytest.raises(InputError, match="do not trust this archive"):
        download(archive_source({"sub-01/a": b"a", "sub-01/../../../evil": b"evil"}))
    assert visible() == {}
    assert leftovers(to) == []
    assert [path.name for path in tmp_path.iterdir()] == ["to"]


def test_an_archive_with_damage_inside_is_fetched_anew_the_next_time(download, recording, server, visible):
    good = server.files["sub-01.zip"]
    server.files["sub-01.zip"] = good.replace(b"PK\x03\x04", b"PK\x03\x05")
    with pytest.raises(InputError, match="damaged"):
        download(recording)
    assert visible() == {}
    server.files["sub-01.zip"] = good
    assert download(recording)[0].state == "downloaded"
    assert visible() == FILES


def test_the_terms_are_said_once_before_the_first_request(download, recording, source, server, caplog):
    server.script = ["status 404"]
    with pytest.raises(InputError):
        download(source(), recording)
    assert caplog.text.count("These are the terms.") == 1
    caplog.clear()
    download(source(), recording)
    caplog.clear()
    download(source(), recording)
    assert caplog.text == ""


def test_the_disk_is_looked_at_before_the_first_request(download, recording, source, server, to, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=100_000))
    with pytest.raises(InputError, match=r"about \d+ bytes are needed in .*to, and the disk has 100000"):
        download(recording)
    assert server.requests == []


@pytest.mark.parametrize("step", ["unpack", "write_receipt"])
def test_a_full_disk_keeps_the_archive(download, recording, server, visible, to, monkeypatch, step):
    def fail(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(folder, step, fail)
        with pytest.raises(InputError, match=r"sub-01.zip does not fit: the disk .* is full; free some space"):
            download(recording)
    assert visible() == {}
    assert leftovers(to) == ["sub-01.zip"]
    download(recording)
    assert visible() == FILES
    assert len(server.requests) == 1


def test_an_archive_that_will_not_fit_unpacked_is_kept_and_not_begun(download, recording, to, monkeypatch):
    frees = iter([10**9, 10**9, 9])
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=next(frees)))
    with pytest.raises(InputError, match="does not fit"):
        download(recording)
    assert leftovers(to) == ["sub-01.zip"]


def test_two_processes_share_a_folder(recording, server, to, impatient):
    outcomes = []
    threads = [
        threading.Thread(target=lambda: outcomes.extend(bring([recording], to, patience=impatient))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(one.state for one in outcomes) == ["downloaded", "kept", "kept"]
    assert len(server.requests) == 1


def test_a_folder_that_cannot_be_is_named(download, recording, to):
    to.write_text("a file")
    with pytest.raises(InputError, match="to cannot be written"):
        download(recording)

"""Unpacking archives that somebody made to do harm, or that arrived damaged."""

import io
import stat
import zipfile
import zlib

import pytest

from neuroclip_hf.data.download.archives import Member, unpack
from neuroclip_hf.errors import InputError


@pytest.fixture
def place(tmp_path):
    """Write an archive's bytes, and unpack them into the folder "out/sub-01"."""

    def run(body, largest=1_000_000):
        (tmp_path / "sub-01.zip").write_bytes(body)
        (tmp_path / "out" / "sub-01").mkdir(parents=True, exist_ok=True)
        return unpack(tmp_path / "sub-01.zip", tmp_path / "out" / "sub-01", largest)

    return run


def one_entry(name="a", body=b"content", **changes):
    """An archive with one entry, whose description is changed as told."""
    info = zipfile.ZipInfo("a")
    for key, value in changes.items():
        setattr(info, key, value)
    info.filename = name
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, body)
    return buffer.getvalue()


@pytest.mark.parametrize("prefix", ["sub-01/", ""])
def test_an_archive_with_and_without_its_folder_gives_the_same(place, zipped, snapshot, tmp_path, prefix):
    members = place(zipped({f"{prefix}ses-01/b": b"bb", f"{prefix}a": b"a", "__MACOSX/x": b"", ".DS_Store": b""}))
    assert members == [Member("a", 1, zlib.crc32(b"a")), Member("ses-01/b", 2, zlib.crc32(b"bb"))]
    assert snapshot(tmp_path / "out") == {"sub-01/a": b"a", "sub-01/ses-01/b": b"bb"}


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "sub-01/../../evil",
        "/etc/evil",
        "//host/evil",
        "C:/evil",
        "a\\..\\evil",
        "./a",
        "a//b",
        "a\0b",
        "..",
    ],
)
def test_no_path_leaves_the_folder(place, snapshot, tmp_path, name):
    with pytest.raises(InputError, match=r"sub-01.zip: .* is no path below a folder"):
        place(one_entry(name))
    assert snapshot(tmp_path) == {"sub-01.zip": (tmp_path / "sub-01.zip").read_bytes()}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(place, kind):
    with pytest.raises(InputError, match="link or a device"):
        place(one_entry(body=b"/etc/passwd", external_attr=(kind | 0o777) << 16))


def test_plain_files_may_say_so_and_get_no_rights(place, tmp_path):
    place(one_entry(external_attr=(stat.S_IFREG | stat.S_ISUID | 0o777) << 16))
    assert not (tmp_path / "out" / "sub-01" / "a").stat().st_mode & (stat.S_ISUID | stat.S_IXUSR)


def test_what_is_encrypted_is_refused(place, zipped):
    body = bytearray(zipped({"a": b"content"}))
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        body[body.index(signature) + offset] |= 1
    with pytest.raises(InputError, match="encrypted: it is not the published archive"):
        place(bytes(body))


def test_a_bomb_is_refused_before_a_byte_is_written(place, zipped, snapshot, tmp_path):
    with pytest.raises(InputError, match=r"1000001 bytes, more than .* 1000000 bytes"):
        place(zipped({"a": b"\0" * 1_000_000, "b": b"\0"}))
    assert snapshot(tmp_path / "out") == {}


def test_too_many_files_are_refused(place, zipped, monkeypatch):
    monkeypatch.setattr("neuroclip_hf.data.download.archives._MOST_FILES", 2)
    with pytest.raises(InputError, match="3 files"):
        place(zipped({"a": b"", "b": b"", "c": b""}))


def test_a_bomb_that_lies_about_its_size_unpacks_no_more_than_it_said(place, zipped, tmp_path):
    body = bytearray(zipped({"a": b"\0" * 900_000}))
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        start = body.index(signature) + offset
        body[start : start + 4] = (10).to_bytes(4, "little")
    with pytest.raises(InputError, match="damaged"):
        place(bytes(body))
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file()) <= 10


@pytest.mark.parametrize("where", [0.3, 0.6])
def test_a_damaged_archive_is_named(place, zipped, where):
    body = bytearray(zipped({"a": bytes(range(256)) * 100}))
    body[int(len(body) * where)] ^= 0xFF
    with pytest.raises(InputError, match=r"sub-01.zip is damaged .*: download it again"):
        place(bytes(body))


def test_a_cut_archive_is_named(place, zipped):
    with pytest.raises(InputError, match="damaged"):
        place(zipped({"a": b"content" * 100})[:-30])


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize(("names", "match"), [(["a", "A"], "twice"), (["a/b", "a"], "below a file")])
def test_names_that_collide_are_refused(place, zipped, names, match):
    with pytest.raises(InputError, match=match):
        place(zipped(dict.fromkeys(names, b"")))


@pytest.mark.parametrize("names", [[], ["sub-01/a", "b"], ["sub-01/"]])
def test_an_archive_of_something_else_is_refused(place, zipped, names):
    with pytest.raises(InputError, match="does not hold just the folder sub-01"):
        place(zipped(dict.fromkeys(names, b"")))

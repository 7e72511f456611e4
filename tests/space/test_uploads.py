"""Uploads: what is read, and what is refused before anything in it is followed, unpacked or run."""

import pickle
import shutil
import zipfile

import mne
import numpy as np
import pytest

from neuroclip_hf import InputError
from neuroclip_hf.processing.inputs import read_trials
from neuroclip_hf.space import uploads
from neuroclip_hf.space.uploads import read_upload, received


@pytest.fixture
def arrays(tmp_path):
    """Write an .npz with arrays."""

    def write(name="trials.npz", **changes):
        generator = np.random.default_rng(0)
        content = {
            "brain": generator.standard_normal((6, 4, 30)) * 1e-5,
            "image_id": np.arange(6) % 2,
            "image_files": np.array(["a/one.jpg", "a/two.jpg"]),
            "channel_names": np.array(["P7", "O1", "Oz", "O2"]),
            "sampling_rate": 50.0,
            "unit": "V",
            **changes,
        }
        np.savez(tmp_path / name, **content)
        return tmp_path / name

    return write


@pytest.fixture
def raw():
    """Twenty seconds of four channels, with an event a second."""
    values = np.random.default_rng(1).standard_normal((4, 2000)) * 1e-5
    raw = mne.io.RawArray(values, mne.create_info(["P7", "O1", "Oz", "O2"], 100.0, "eeg"), verbose="error")
    return raw.set_annotations(mne.Annotations(np.arange(1, 18), 0.1, ["one", "two"] * 8 + ["one"]))


@pytest.fixture
def brainvision(raw, tmp_path):
    """The same as BrainVision: header, markers, data."""
    raw.export(tmp_path / "rec.vhdr", fmt="brainvision", verbose="error")
    return [tmp_path / f"rec.{suffix}" for suffix in ("vhdr", "vmrk", "eeg")]


@pytest.fixture
def form(trained):
    return trained.processor.feature_extractor


def change(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_arrays_are_read_as_the_package_reads_them(arrays, form):
    path = arrays()
    found = read_upload([path], form)
    assert np.array_equal(found.values, read_trials(path, form).values)
    assert found.names == ["a/one.jpg", "a/two.jpg"] * 3


def test_recordings_are_read(raw, brainvision, form, tmp_path):
    raw.save(tmp_path / "rec_raw.fif", verbose="error")
    from_fif, from_header = (read_upload(files, form) for files in ([tmp_path / "rec_raw.fif"], brainvision))
    assert from_fif.names == ["one", "two"] * 8 + ["one"]
    assert len(from_header.names) == 17
    np.testing.assert_allclose(from_fif.values, from_header.values, rtol=0.01, atol=1e-7)


def test_nothing_of_an_upload_stays(arrays):
    with received([arrays()]) as path:
        assert path.is_file()
    assert not path.parent.exists()


def test_files_are_refused_by_kind_and_number(arrays, tmp_path):
    for name, why in (
        ("trials.npy", "may hold a pickle"),
        ("trials.pt", "may hold a pickle"),
        ("trials.fif.gz", "may unpack to any size"),
        ("trials.set", "name other files"),
        ("trials.txt", "are not read here"),
    ):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(InputError, match=f"{name} was not opened.*{why}"), received([tmp_path / name]):
            pass
    with pytest.raises(InputError, match="Nothing was uploaded"), received([]):
        pass
    two = [arrays("a.npz"), arrays("b.npz")]
    with pytest.raises(InputError, match="are not one recording"), received(two):
        pass
    with pytest.raises(InputError, match="4 files were uploaded"), received([*two, *two]):
        pass


def test_an_upload_has_a_largest_size(arrays, monkeypatch):
    path = arrays()
    monkeypatch.setattr(uploads, "LARGEST_UPLOAD", path.stat().st_size - 1)
    with pytest.raises(InputError, match=r"trials\.npz: the upload has .* are taken"), received([path]):
        pass


def test_an_archive_may_not_unpack_to_more(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "zeros.npz", brain=np.zeros(1 << 20))
    monkeypatch.setattr(uploads, "LARGEST_UPLOAD", 1 << 20)
    with (
        pytest.raises(InputError, match=r"zeros\.npz unpacks to 8 MB, and 1 MB are taken"),
        received([tmp_path / "zeros.npz"]),
    ):
        pass


def test_nothing_is_unpickled(arrays, tmp_path, form):
    marker = tmp_path / "ran"

    class Runs:
        def __reduce__(self):
            return marker.touch, ()

    evil = np.empty(1, dtype=object)
    evil[0] = Runs()
    with pytest.raises(InputError, match=r"brain\.npy holds pickled objects"):
        read_upload([arrays(brain=evil)], form)
    (tmp_path / "plain.npz").write_bytes(pickle.dumps(Runs()))
    np.save(tmp_path / "one.npy", evil, allow_pickle=True)
    shutil.copyfile(tmp_path / "one.npy", tmp_path / "renamed.npz")
    for name in ("plain.npz", "renamed.npz"):
        with pytest.raises(InputError, match=f"{name} is no .npz file"):
            read_upload([tmp_path / name], form)
    assert not marker.exists()


def test_an_array_may_not_claim_another_size(arrays):
    path = arrays()
    with zipfile.ZipFile(path, "a") as archive, archive.open("subject.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (1 << 50,)})
    with (
        pytest.raises(InputError, match=r"subject\.npy says that it has shape \(1125899906842624,\)"),
        received([path]),
    ):
        pass


@pytest.mark.parametrize("entry", ["DataFile", "MarkerFile"])
@pytest.mark.parametrize("place", ["/etc/passwd", "../rec.eeg", "..\\rec.eeg", "C:rec.eeg", "folder/rec.eeg"])
def test_a_header_may_not_point_outside(brainvision, entry, place):
    own = {"DataFile": "rec.eeg", "MarkerFile": "rec.vmrk"}[entry]
    change(brainvision[0], f"{entry}={own}", f"{entry}={place}")
    with pytest.raises(InputError, match=r"rec\.vhdr points to .* outside of the upload"), received(brainvision):
        pass


def test_a_header_may_not_point_outside_in_another_spelling(brainvision):
    change(brainvision[0], "DataFile=rec.eeg", "dataFILE :\n  /etc/passwd")
    with pytest.raises(InputError, match="points to '\\\\n/etc/passwd', outside"), received(brainvision):
        pass
    change(brainvision[0], "Codepage=UTF-8", "Codepage=utf-7")
    with pytest.raises(InputError, match="is in codepage 'utf-7'"), received(brainvision):
        pass


def test_a_header_alone_says_what_is_missing(brainvision, form, tmp_path):
    with (
        pytest.raises(InputError, match=r"rec\.vhdr belongs to rec\.eeg, which is missing"),
        received(brainvision[:1]),
    ):
        pass
    (tmp_path / "bad.vhdr").write_text("nothing of the kind")
    with pytest.raises(InputError, match=r"^bad\.vhdr cannot be read as a recording"):
        read_upload([tmp_path / "bad.vhdr"], form)


def test_a_part_of_a_split_file_is_refused(tmp_path, monkeypatch):
    values = np.random.default_rng(0).standard_normal((3, 200_000)) * 1e-6
    raw = mne.io.RawArray(values, mne.create_info(["O1", "Oz", "O2"], 500.0, "eeg"), verbose="error")
    raw.save(tmp_path / "long_raw.fif", split_size="2MB", verbose="error")
    assert (tmp_path / "long_raw-1.fif").exists()
    with (
        pytest.raises(InputError, match=r"long_raw\.fif is a part of a split file"),
        received([tmp_path / "long_raw.fif"]),
    ):
        pass
    (tmp_path / "bad.fif").write_bytes(b"not a FIF file, and long enough to be looked at")
    with pytest.raises(InputError, match=r"bad\.fif is no FIF file"), received([tmp_path / "bad.fif"]):
        pass


def test_a_recording_has_a_largest_size_in_memory(raw, form, tmp_path, monkeypatch):
    raw.save(tmp_path / "rec_raw.fif", verbose="error")
    monkeypatch.setattr(uploads, "LARGEST_SIGNAL", 4 * 2000 * 8 - 1)
    with pytest.raises(InputError, match=r"rec_raw\.fif would take"):
        read_upload([tmp_path / "rec_raw.fif"], form)


def test_messages_name_files_as_the_uploader_does(raw, form, tmp_path):
    raw.copy().pick(["P7", "O1"]).save(tmp_path / "few_raw.fif", verbose="error")
    with pytest.raises(InputError) as refused:
        read_upload([tmp_path / "few_raw.fif"], form)
    assert str(refused.value).startswith("few_raw.fif")
    assert "neuroclip-upload" not in str(refused.value)

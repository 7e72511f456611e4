"""bdpy's format: what is read is what bdpy reads, and a file that is not whole, or another thing, is named."""

import numpy as np
import pytest

from neuroclip_hf.data.bdata import MetadataRow, new_bdata, open_bdata
from neuroclip_hf.errors import InputError

h5py = pytest.importorskip("h5py", reason="the extra fmri brings it")

NAN = float("nan")
MATRIX = np.arange(35, dtype=np.float64).reshape(7, 5)
ROWS = [
    MetadataRow("VoxelData", "voxels", np.array([1, 1, 1, NAN, NAN])),
    MetadataRow("ROI_V1", "a region", np.array([NAN, 1, 0, NAN, NAN])),
    MetadataRow("Label", "two columns", np.array([NAN, NAN, NAN, 1, 1])),
    MetadataRow("Unused", "none", np.full(5, NAN)),
]


@pytest.fixture
def path(tmp_path):
    with new_bdata(tmp_path / "Subject1.h5", 7, ROWS, {"description": "made up"}) as matrix:
        matrix[:] = MATRIX
    return tmp_path / "Subject1.h5"


def test_columns_and_blocks_are_what_was_written(path):
    with open_bdata(path) as file:
        assert (file.rows, file.header) == (7, {"description": "made up"})
        assert file.marked("ROI_V1").tolist() == [False, True, False, False, False]
        np.testing.assert_array_equal(file.column("Label"), MATRIX[:, 3])
        blocks = list(file.blocks(file.marked("VoxelData"), size=3))
    assert [start for start, _ in blocks] == [0, 3, 6]
    np.testing.assert_array_equal(np.concatenate([values for _, values in blocks]), MATRIX[:, :3])


def test_what_bdpy_saves_is_read_as_bdpy_reads_it(path, tmp_path):
    bdpy = pytest.importorskip("bdpy", reason="the extra fmri brings it")
    theirs = bdpy.BData(str(path))
    theirs.save(str(tmp_path / "saved.h5"))
    for one in (path, tmp_path / "saved.h5"):
        with open_bdata(one) as file:
            (_, values), *others = file.blocks(file.marked("VoxelData"))
        assert not others
        np.testing.assert_array_equal(values, theirs.select("VoxelData"))


def test_older_names_are_read(path):
    with h5py.File(path, "a") as file:
        file.move("dataset", "dataSet")
        file.move("metadata", "metaData")
    with open_bdata(path) as file:
        np.testing.assert_array_equal(file.column("Label"), MATRIX[:, 3])


def test_a_key_that_is_not_there_is_named_with_those_that_are(path):
    with open_bdata(path) as file:
        with pytest.raises(InputError, match=r"no key 'ROI_V9'.*VoxelData, ROI_V1"):
            file.marked("ROI_V9")
        with pytest.raises(InputError, match="no column of the matrix belongs to 'Unused'"):
            file.column("Unused")


def change(path, what):
    """Break a file in one of several ways."""
    if what == "text":
        path.write_text("no HDF5")
    elif what == "truncated":
        path.write_bytes(path.read_bytes()[:-600])
    else:
        with h5py.File(path, "a") as file:
            BREAKS[what](file)


def _replace(name, make):
    def change(file):
        del file[name]
        make(file)

    return change


BREAKS = {
    "another thing": lambda file: file.move("dataset", "features"),
    "other width": _replace(
        "metadata/value", lambda file: file.create_dataset("metadata/value", data=np.ones((4, 9)))
    ),
    "hollow": _replace("dataset", lambda file: file.create_dataset("dataset", (10**7, 5), "f8")),
    "hollow chunks": _replace(
        "dataset", lambda file: file.create_dataset("dataset", (10**7, 5), "f8", chunks=(99, 5))
    ),
    "link": _replace("dataset", lambda file: file.__setitem__("dataset", h5py.ExternalLink("other.h5", "/dataset"))),
    "texts": _replace("dataset", lambda file: file.create_dataset("dataset", data=np.full((7, 5), b"a"))),
    "one dimension": _replace("dataset", lambda file: file.create_dataset("dataset", data=np.ones(5))),
    "elsewhere": _replace(
        "dataset", lambda file: file.create_dataset("dataset", (7, 5), "f8", external=[("other.bin", 0, 280)])
    ),
}


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("text", "cannot be opened as HDF5"),
        ("truncated", "Subject1.h5 cannot be opened as HDF5.*truncated"),
        ("another thing", "not in bdpy's format.*it holds features, header"),
        ("other width", r"metadata has shape \(4, 9\): 4 keys and a matrix of 5 columns"),
        ("hollow", "declares 400,000,000 bytes.*holds 0"),
        ("hollow chunks", "declares 400,000,000 bytes.*holds 0"),
        ("link", "link to elsewhere|not in bdpy's format"),
        ("texts", "it must hold numbers"),
        ("one dimension", "dataset is no array of 2 dimensions"),
        ("elsewhere", "lies in another file"),
    ],
)
def test_what_is_not_whole_or_another_thing_is_refused(path, what, message):
    change(path, what)
    with pytest.raises(InputError, match=message), open_bdata(path):
        pass


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"Subject9.h5 does not exist"), open_bdata(tmp_path / "Subject9.h5"):
        pass

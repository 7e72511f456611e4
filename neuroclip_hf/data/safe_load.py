"""Reads the field's pickled containers without running what is inside.

A pickle is a small program that may name any function of any installed package and call it. The files that
THINGS-EEG2 and its descendants pass around are pickles, and they come from strangers. [`load`] executes them on an
interpreter that knows a short list of instructions, answers only to the names that arrays and plain containers need,
and gives even those to stand-ins of its own: no object of NumPy or torch meets a value from the file before it was
checked. Sizes are checked against the size of the file, so that a small file cannot ask for a large allocation.
"""

import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from neuroclip_hf.data._pickled_arrays import check_items
from neuroclip_hf.data._unpickler import DAMAGED, BoundedReader, Forbidden, RestrictedUnpickler
from neuroclip_hf.errors import InputError

_OLD_TORCH = 0x1950A86A20F9469CFC6C  # torch's number for it; the file begins with a pickle of this alone
_REMEDY = "nothing of the file was run; get it again from its source, or save it as plain arrays"


def load(path: str | Path) -> Any:
    """Read one container file; what is in it decides how, not its name.

    - `.npy` with an object array (`np.save` of a dictionary or a list): the array, or for a 0-d one the object in it.
    - a plain `pickle.dump`, whatever the file is called: the object.
    - `.npy` with numbers: a read-only memory map, since such files reach tens of gigabytes.
    - torch's zip container (`torch.save`): the object, its tensors mapped from the file (writing to one changes
      memory, never the file). torch is imported only here.

    Allowed inside: NumPy arrays and scalars of numbers, text and bytes, or of allowed objects; `dict` (with plain
    keys), `list`, `tuple`, `str`, `int`, `float`, `bool`, `bytes`, `None`, `collections.OrderedDict`; tensors in a
    torch container. The file is read once; a large array of a protocol 3 or newer pickle stays in the file and is
    mapped from it like torch's.

    Args:
        path (`str` or `Path`): the file.

    Returns:
        What was saved.

    Raises:
        InputError: if the file is missing, empty, truncated or damaged, is in the format of torch before 1.6, asks for
            a name that is not allowed (the message says which), or claims sizes that it does not have.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if not size:
                raise InputError(f"{path} is empty (0 bytes): get it again.")
            return _load_open(path, file, size)
    except InputError:
        raise
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}): check the path and its rights."
        ) from None
    except Forbidden as error:
        raise InputError(f"{path} asks for {error}, which is not on the list for data: {_REMEDY}.") from None
    except MemoryError:
        raise InputError(f"{path} asks for more memory than there is: {DAMAGED}.") from None
    except RecursionError:
        raise InputError(f"{path} is nested too deeply: {_REMEDY}.") from None
    except Exception as error:  # a damaged pickle can raise nearly anything inside the interpreter
        raise InputError(f"{path} cannot be read ({_summary(error)}): {DAMAGED}.") from None


def _summary(error: Exception) -> str:
    """The kind of error and a bounded piece of its text, which may quote anything from the file."""
    text = error.args[0] if error.args and type(error.args[0]) is str else ""
    text = "".join(letter if letter.isprintable() else "?" for letter in text[:200])
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _load_open(path: Path, file: BinaryIO, size: int) -> Any:
    start = file.read(6)
    file.seek(0)
    if start == b"\x93NUMPY":
        return _load_npy(path, file, size)
    if start[:4] == b"PK\x03\x04":
        return _load_torch(path, file, size)
    value = RestrictedUnpickler(path, BoundedReader(path, file, size)).load_object()
    if type(value) is int and value == _OLD_TORCH:
        raise InputError(
            f"{path} was saved by torch in the format that came before zip files, which is not read: save it anew, "
            "with torch.save(torch.load(PATH, weights_only=True), PATH) if you trust its source."
        )
    return value


def _load_npy(path: Path, file: BinaryIO, size: int) -> Any:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        (length,) = struct.unpack("<I", file.read(4))
        BoundedReader(path, file, size).require(length)
        file.seek(-4, 1)
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    if dtype != np.dtype(object):
        if dtype.hasobject:
            raise InputError(f"{path} has a data type with objects inside a structure: {_REMEDY}.")
        values = np.load(path, mmap_mode="r", allow_pickle=False)
        check_items(values)
        return values
    value = RestrictedUnpickler(path, BoundedReader(path, file, size)).load_object()
    if not isinstance(value, np.ndarray) or value.dtype != dtype or value.shape != shape:
        raise InputError(
            f"{path} declares an object array of {len(shape)} dimensions and holds something else: {DAMAGED}."
        )
    return value.item() if value.ndim == 0 else value


def _load_torch(path: Path, file: BinaryIO, size: int) -> Any:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        declared = sum(entry.file_size for entry in entries)
        if declared > size or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise InputError(
                f"{path} would unpack to {declared:,} bytes from {size:,}, and torch never compresses: {_REMEDY}."
            )
        programs = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
        if len(programs) != 1:
            raise InputError(f"{path} is a zip file but not one of torch.save: name a .npy or a .pt file.")
        from neuroclip_hf.data._torch_container import TorchStorages

        storages = TorchStorages(path, archive, programs[0].filename.removesuffix("data.pkl"))
        with archive.open(programs[0]) as program:
            reader = BoundedReader(path, program, programs[0].file_size)
            return RestrictedUnpickler(path, reader, storages.names(), storages.find).load_object()

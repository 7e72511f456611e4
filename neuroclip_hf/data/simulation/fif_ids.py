"""Takes out of FIF files what says on which machine and when they were written.

The format is a chain of tags, each a header of four big-endian 32-bit integers (kind, type, size, position of the next
tag) before its content; 0 for the position means right behind, -1 that there is no more. Identifiers have a type of
their own: a version, the machine's number (two integers), seconds and microseconds.
"""

import struct
from pathlib import Path

_HEADER = struct.Struct(">iiii")
_IDENTIFIER = 31
_TYPE_BITS = 0xFFFF
_VERSION_BYTES = 4


def neutralise_ids(path: str | Path) -> None:
    """Set machine and time of every identifier of a FIF file to zero, in place: equal recordings get equal bytes.

    MNE has no way to choose them, and reads the file as before.
    """
    with Path(path).open("r+b") as file:
        place = 0
        while len(header := file.read(_HEADER.size)) == _HEADER.size:
            _, kind, size, following = _HEADER.unpack(header)
            if kind & _TYPE_BITS == _IDENTIFIER:
                file.seek(place + _HEADER.size + _VERSION_BYTES)
                file.write(bytes(size - _VERSION_BYTES))
            if following < 0:
                return
            place = following or place + _HEADER.size + size
            file.seek(place)

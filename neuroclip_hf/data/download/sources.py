"""Where the files of published datasets lie: one table, one row a file.

Every address was seen in a public source, which its row names. Sizes and checksums stand here only where they are
known for the very file behind the address.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from neuroclip_hf.data.subject_names import subject_folder
from neuroclip_hf.data.terms import THINGS_EEG2_TERMS
from neuroclip_hf.data.things_eeg2 import FACTS, METADATA_FILE, PICTURE_FOLDERS
from neuroclip_hf.errors import InputError

RAW, METADATA, PICTURES = "raw", "metadata", "pictures"
KINDS = (RAW, METADATA, PICTURES)

_RECORDINGS_TERMS = str(THINGS_EEG2_TERMS.recordings)
_PICTURES_TERMS = f"{THINGS_EEG2_TERMS.pictures} By downloading them you accept that."
_MEGABYTE, _GIGABYTE = 10**6, 10**9


@dataclass(frozen=True)
class Source:
    """One published file.

    Args:
        name (`str`): its file name, also below a mirror.
        kind (`str`): what it belongs to: "raw", "metadata" or "pictures".
        url (`str`): where its authors keep it; page (`str`): where a person finds it.
        terms (`str`): under what terms it may be used, in words.
        download_size, unpacked_size (`int`): about how many bytes it has, as it comes and on the disk. Four times as
            many are refused.
        size (`int`, *optional*), sha256 (`str`, *optional*): exactly how many, and their checksum, where known.
        folder (`str`, *optional*): for a zip archive, the folder that it unpacks to.
    """

    name: str
    kind: str
    url: str
    page: str
    terms: str
    download_size: int
    unpacked_size: int
    size: int | None = None
    sha256: str | None = None
    folder: str | None = None

    @property
    def target(self) -> str:
        """The file or folder that it becomes."""
        return self.folder or self.name

    @property
    def largest(self) -> int:
        """More bytes than this are neither received nor unpacked; a factor of ours."""
        return 4 * max(self.download_size, self.unpacked_size)


def _recording(subject: int) -> Source:
    """The raw recording of a subject.

    The address is in the download script of the repository ShenniApril/Ablation-on-EEG2Image-Models
    (scripts/things_eeg/download_eeg.sh); https://osf.io/crxs4/ is the dataset's own project for it. The files lie on
    a drive of the authors behind it, so that neither size nor checksum is published. About 10 GB come; four sessions
    of 64 rows of float64 at 1000 Hz, an hour and a half each for training and a quarter for the test, are 13 GB.
    """
    folder = subject_folder(subject)
    return Source(
        name=f"{folder}.zip",
        kind=RAW,
        url=f"https://files.osf.io/v1/resources/crxs4/providers/googledrive/{folder}.zip",
        page="https://osf.io/crxs4/",
        terms=_RECORDINGS_TERMS,
        download_size=10 * _GIGABYTE,
        unpacked_size=13 * _GIGABYTE,
        folder=folder,
    )


# The addresses of the table and of the pictures are in a script download_data.py ("Downloads data from THINGSEEG2
# dataset") that several public repositories hold; https://osf.io/y63gw/ is the dataset's own project for them, whose
# wiki describes the folders. Size and checksum of the table are those of a copy that reads well, and of NEMAR's
# release of the dataset (nm000232, version 1.1.0). The sizes of the pictures are about those of NEMAR's two archives.
# Whether OSF's have the same bytes is not known, so that NEMAR's checksums of them are not used, and the archives' own
# ones decide.
_TABLE = Source(
    name=METADATA_FILE,
    kind=METADATA,
    url="https://osf.io/download/qkgtf/",
    page="https://osf.io/y63gw/",
    terms=_RECORDINGS_TERMS,
    download_size=656_579,
    unpacked_size=656_579,
    size=656_579,
    sha256="681a75633c59a356a66ca19a277429c1d48a00a98405ff96e53ee0b9f00b397c",
)


def _pictures(split: str, identifier: str, size: int) -> Source:
    folder = PICTURE_FOLDERS[split]
    return Source(
        name=f"{folder}.zip",
        kind=PICTURES,
        url=f"https://osf.io/download/{identifier}/",
        page="https://osf.io/y63gw/",
        terms=_PICTURES_TERMS,
        download_size=size,
        unpacked_size=size,
        folder=folder,
    )


THINGS_EEG2: tuple[Source, ...] = (
    _TABLE,
    _pictures("test", "znu7b", 9 * _MEGABYTE),
    _pictures("train", "3v527", 660 * _MEGABYTE),
    *(_recording(subject) for subject in range(1, FACTS.subjects + 1)),
)


def things_eeg2_sources(
    subjects: Sequence[int], kinds: Sequence[str] = KINDS, mirror: str | None = None
) -> tuple[Source, ...]:
    """The files of THINGS-EEG2 that somebody wants, small ones first.

    Args:
        subjects (`Sequence[int]`): whose recordings.
        kinds (`Sequence[str]`): of "raw", "metadata" and "pictures".
        mirror (`str`, *optional*): an address below which all files lie under their names, taken instead of the
            authors' addresses.

    Raises:
        InputError: for a subject or kind that does not exist, or a mirror that is no address of the web.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise InputError(f"what to download is {', '.join(unknown) or 'empty'}: choose from {', '.join(KINDS)}.")
    strangers = [subject for subject in subjects if not 1 <= subject <= FACTS.subjects]
    if strangers:
        raise InputError(f"subject {strangers[0]} does not exist: THINGS-EEG2 has subjects 1 to {FACTS.subjects}.")
    if RAW in kinds and not subjects:
        raise InputError("no subject is named: say whose recordings, as in 1,2.")
    wanted = {f"{subject_folder(subject)}.zip" for subject in subjects}
    chosen = [
        source for source in THINGS_EEG2 if source.kind in kinds and (source.kind != RAW or source.name in wanted)
    ]
    return tuple(chosen if mirror is None else (mirrored(source, mirror) for source in chosen))


def mirrored(source: Source, mirror: str) -> Source:
    """`source`, fetched from below `mirror` by its name; size and checksum stay what they were."""
    try:
        parts = urlsplit(mirror)
        usable = parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment
    except ValueError:  # brackets that do not close
        usable = False
    if not usable:
        given = mirror.rpartition("@")[2].partition("?")[0]
        raise InputError(
            f"the mirror is {given!r}: give a web address below which the files lie, as in "
            "https://example.org/things-eeg2."
        )
    return replace(source, url=f"{mirror.rstrip('/')}/{source.name}", page=shown(mirror))


def shown(url: str) -> str:
    """An address as it may be printed and kept: without user names, passwords and signed queries."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()

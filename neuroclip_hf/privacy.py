"""What must never go up: tokens and other secrets, and where files lie on a machine.

Every file of a folder that goes up is searched, texts and other files alike. Secrets are found by how they look, and
by their value where this machine knows it; paths by how they look in texts, and by the value of this machine's own
folders in every file. Pictures that may not be passed on are kept out elsewhere, see `run_contents` and
`data_contents`.
"""

import json
import mmap
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml
from PIL import Image

from neuroclip_hf.errors import InputError
from neuroclip_hf.files import read_json, write_json, write_text

PATH_ENTRIES = ("tower", "pipeline", "image_encoder", "ip_adapter")
"""Entries of recipe.yaml and generation.json in which a user may name a folder: of a path the last part goes up."""
_PARSED = (".json", ".jsonl", ".yaml", ".yml")
_TEXTS = (*_PARSED, ".md", ".html", ".py", ".txt", ".csv", ".tsv")
_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "merges.txt")
"""Hold pieces of words, of which many look like paths; a tower's tokenizer brings them along."""
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff", ".bmp")

# What it is -> how it begins, and how it goes on. A search for the beginning alone is quick in large files.
_SECRETS = {
    "a Hugging Face token": ((b"hf_", b"api_org_"), rb"[A-Za-z0-9]{30,}"),
    "a GitHub token": ((b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_"), rb"[A-Za-z0-9_]{36,}"),
    "a GitLab token": ((b"glpat-",), rb"[A-Za-z0-9_-]{20,}"),
    "an API key": ((b"sk-",), rb"[A-Za-z0-9_-]{32,}"),
    "a Slack token": ((b"xoxa-", b"xoxb-", b"xoxp-", b"xoxr-", b"xoxs-"), rb"[A-Za-z0-9-]{20,}"),
    "an access key of AWS": ((b"AKIA",), rb"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    "an API key of Google": ((b"AIza",), rb"[A-Za-z0-9_-]{35}"),
    "a private key": ((b"-----BEGIN ",), rb"(?:[A-Z]{2,10} ){0,2}PRIVATE KEY-----"),
    "a password in an address": ((b"://",), rb"[\w.%+-]{1,64}:[\w.%+!$-]{3,64}@[\w.-]+"),
}
_NAMES_OF_SECRETS = {"TOKEN", "SECRET", "PASSWORD", "PASSWD", "KEY", "CREDENTIALS"}
_SHORTEST_SECRET = 8
"""Letters (ours): shorter values of the environment are found in any text, and protect nothing."""
# After a space, a bracket, a quotation mark or the like: neither the path of an address nor a fraction or a tag.
_PATHS = (
    r"(?<![^\s\"'`(=\[,;>{:|„“”«»])~?/(?:[^\s/\"'`<>(){}\[\],;]+/)+[^\s/\"'`<>(){}\[\],;]*",
    r"(?<![^\s\"'`(=\[,;>{:|])\\\\[A-Za-z0-9_.$-]+\\[A-Za-z0-9_.$-]+",
    r"(?<![A-Za-z0-9+/])[A-Za-z]:(?:\\{1,2}|/)[A-Za-z0-9_.~-][^\s\"'`<>]*",
    r"\bfile://[^\s\"'`<>]+",
)
_PATH = re.compile("|".join(_PATHS))
_INLINED = re.compile(rb"base64,[A-Za-z0-9+/=]*")  # of figures, which go up beside the page too
_ROWS, _PICTURES_AT_ONCE = 16384, 64
"""Rows of a table in memory at a time (ours), of its texts and of its pictures."""
_SHORTEST_PLACE = 6
"""Bytes (ours): shorter ones are found in large files by chance."""


@dataclass(frozen=True)
class _Finding:
    file: str
    what: str
    value: str

    def __str__(self) -> str:
        return f"{self.file} holds {self.what} ({self.value})"


def shorten_paths(folder: Path) -> None:
    """Of paths in [`PATH_ENTRIES`] of a folder's settings keep the last part; the files are written anew."""
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".json", ".yaml"):
            continue
        values = read_json(path) if path.suffix == ".json" else yaml.safe_load(path.read_text(encoding="utf-8"))
        short = _shortened(values)
        if short == values:
            continue
        if path.suffix == ".json":
            write_json(path, short)
        else:
            write_text(path, yaml.safe_dump(short, sort_keys=False, allow_unicode=True))


def refuse_private(folder: Path, origin: Path) -> None:
    """Raise [`InputError`] if a file of a folder holds a secret or an absolute path.

    Args:
        folder (`Path`): all of it is to go up.
        origin (`Path`): what it was made from, for the message; where that lies must not go up either.
    """
    secrets, places = _known_secrets(), _known_places(origin)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        finding = next(_findings(path, path.relative_to(folder).as_posix(), secrets, places), None)
        if finding is not None:
            raise InputError(
                f"{origin}: {finding}, and would make it public: nothing was pushed. Take it out of the file, and "
                "push again."
            )


def _shortened(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _shortened(each, str(key)) for key, each in value.items()}
    if isinstance(value, list):
        return [_shortened(each, name) for each in value]
    return _last_part(value) if name in PATH_ENTRIES and _is_path(value) else value


def _last_part(path: str) -> str:
    return PureWindowsPath(path).name if PureWindowsPath(path).drive or "\\" in path else PurePosixPath(path).name


def _is_path(value: Any) -> bool:
    if not isinstance(value, str) or len(value) < 2:
        return False
    absolute = PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute()
    return absolute or value.startswith(("~/", "file:"))


def _findings(path: Path, name: str, secrets: dict[bytes, str], places: dict[bytes, str]) -> Iterator[_Finding]:
    with _opened(path) as content:
        yield from _known(content, name, secrets, places)
        for words in _words(path, content):
            yield from _known(words.encode(errors="replace"), name, secrets, places)
            if path.name in _VOCABULARIES:
                continue
            yield from (_Finding(name, "an absolute path", found[0]) for found in _PATH.finditer(words))
            if path.suffix in _PARSED and _is_path(words):
                yield _Finding(name, "an absolute path", words)


def _known(
    said: "bytes | mmap.mmap", name: str, secrets: dict[bytes, str], places: dict[bytes, str]
) -> Iterator[_Finding]:
    """Secrets by how they look and by their value, and folders of this machine."""
    for what, (beginnings, rest) in _SECRETS.items():
        found = next((one for begin in beginnings for one in _matches(said, begin, re.compile(rest))), None)
        if found is not None:
            yield _Finding(name, what, _hidden(found))
    for value, what in {**secrets, **places}.items():
        if said.find(value) >= 0:
            yield _Finding(name, what, value.decode(errors="replace") if value in places else _hidden(value))


@contextmanager
def _opened(path: Path) -> "Iterator[bytes | mmap.mmap]":
    """A file's bytes: of a text all but its pictures, of others a map, however large."""
    if path.suffix in _TEXTS or not path.stat().st_size:
        yield _INLINED.sub(b"", path.read_bytes())
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content


def _matches(content: "bytes | mmap.mmap", begin: bytes, rest: re.Pattern[bytes]) -> Iterator[bytes]:
    place = content.find(begin)
    while place >= 0:
        found = rest.match(content, place + len(begin))
        letter_before = place and content[place - 1 : place].isalnum()
        if found and (not letter_before or not begin[:1].isalnum()):
            yield begin + found[0]
        place = content.find(begin, place + 1)


def _words(path: Path, content: "bytes | mmap.mmap") -> Iterator[str]:
    """What a file says in words: a text itself and what its entries mean, or what stands beside numbers and pixels."""
    if path.suffix in _TEXTS:
        text = bytes(content).decode(errors="replace")
        yield text
        if path.suffix in _PARSED:
            yield from (leaf for leaf in _leaves(_parsed(path, text)) if isinstance(leaf, str))
    elif path.suffix == ".safetensors":
        yield content[8 : 8 + int.from_bytes(content[:8], "little")].decode(errors="replace")
    elif path.suffix == ".parquet":
        yield from _words_of_table(path)
    elif path.suffix.lower() in _PICTURES:
        yield from _words_of_picture(path)


def _words_of_table(path: Path) -> Iterator[str]:
    """Metadata, each text once, and what pictures say: packed, as tables are, a search of the file would miss them."""
    import pyarrow as pa  # most pushes hold no table
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for key, value in (file.metadata.metadata or {}).items():
            yield f"{key.decode(errors='replace')} {value.decode(errors='replace')}"
        schema = file.schema_arrow
        kinds = {one.name: one.type.value_type if pa.types.is_dictionary(one.type) else one.type for one in schema}
        texts = [name for name, kind in kinds.items() if pa.types.is_string(kind) or pa.types.is_large_string(kind)]
        pictures = [one.name for one in schema if pa.types.is_struct(one.type)]
        for batch in file.iter_batches(_ROWS, columns=texts):
            for column in batch.columns:
                yield "\n".join(one for one in column.unique().to_pylist() if one)
        for batch in file.iter_batches(_PICTURES_AT_ONCE, columns=pictures):
            for one in (one for column in batch.columns for one in column.to_pylist()):
                if one and one.get("bytes"):
                    yield from _words_of_picture(BytesIO(one["bytes"]))


def _words_of_picture(file: Path | BytesIO) -> Iterator[str]:
    with Image.open(file) as picture:
        said = [*picture.info.values(), *picture.getexif().values()]
    yield from (one for one in said if isinstance(one, str))
    yield from (one.decode(errors="replace") for one in said if isinstance(one, bytes))


def _parsed(path: Path, text: str) -> Any:
    readers: dict[str, Callable[[str], Any]] = {
        ".json": json.loads,
        ".jsonl": lambda text: [json.loads(line) for line in text.splitlines() if line.strip()],
    }
    try:
        return readers.get(path.suffix, yaml.safe_load)(text)
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path.name} cannot be read ({error}): restore it, or make it again.") from None


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from _leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    else:
        yield value


def _known_secrets() -> dict[bytes, str]:
    """Secret -> what it is, as far as this process knows any."""
    from huggingface_hub import get_token

    found = {
        value.encode(): f"the value of {name} of the environment"
        for name, value in os.environ.items()
        if len(value) >= _SHORTEST_SECRET and _NAMES_OF_SECRETS & set(name.upper().split("_"))
    }
    token = get_token()
    return {**found, token.encode(): "your token for the Hub"} if token else found


def _known_places(origin: Path) -> dict[bytes, str]:
    """Folder of this machine -> that it is one."""
    folders = {Path.home(), Path.cwd(), origin.resolve(), origin.resolve().parent}
    values = (str(folder).encode() + os.sep.encode() for folder in folders if len(folder.parts) > 1)
    return {value: "a folder of this machine" for value in values if len(value) >= _SHORTEST_PLACE}


def _hidden(secret: bytes) -> str:
    """Enough of a secret to find it."""
    return f"{secret[:5].decode(errors='replace')}..., {len(secret)} letters"

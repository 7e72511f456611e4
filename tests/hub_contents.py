"""What the stand-in of the Hub holds: repositories with their commits, files, users with rights, and faults."""

import datetime
import hashlib
import threading
from dataclasses import dataclass, field
from typing import Any

USERS = {
    "hf_writerwriterwriterwriterwriterwr": ("user", "write"),
    "hf_readerreaderreaderreaderreaderre": ("user", "read"),
    "hf_strangerstrangerstrangerstranger": ("stranger", "write"),
}
"""Token -> whose it is, and its rights. They look as the Hub's do, so that a search for tokens finds them."""
WRITER, READER, STRANGER = USERS
LFS_SUFFIXES = (".safetensors", ".parquet", ".arrow", ".npy", ".png", ".jpg", ".bin")


@dataclass(frozen=True)
class Entry:
    """A file of a commit: its git digest, its size, and its SHA-256 where it is an LFS object."""

    blob: str
    size: int
    sha256: str | None = None

    @property
    def etag(self) -> str:
        return self.sha256 or self.blob

    def described(self, path: str) -> dict[str, Any]:
        lfs = {"lfs": {"oid": self.sha256, "size": self.size, "pointerSize": 130}} if self.sha256 else {}
        return {"type": "file", "oid": self.blob, "size": self.size, "path": path, **lfs}


@dataclass(frozen=True)
class Commit:
    oid: str
    title: str
    date: str
    tree: dict[str, Entry]


@dataclass
class Repository:
    private: bool
    branches: dict[str, list[Commit]]
    tags: dict[str, str] = field(default_factory=dict)

    def resolve(self, revision: str) -> Commit | None:
        """The commit that a branch, a tag or a digest names."""
        if revision in self.branches:
            return self.branches[revision][-1]
        wanted = self.tags.get(revision, revision)
        commits = (commit for branch in self.branches.values() for commit in branch)
        return next((commit for commit in commits if commit.oid == wanted), None)


@dataclass
class Faults:
    """What goes wrong: set by a POST to `/_stand_in` with a JSON object of these names."""

    cut_uploads_after: int | None = None  # so many LFS objects are taken, then every upload is cut in its middle
    damage: str | None = None  # the last part of a file's path: a byte of it is another one in every download
    commit_first: bool = False  # somebody commits right before the next commit, once


class Contents:
    """Everything that the stand-in holds."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.faults = Faults()
        self.requests: list[tuple[str, str]] = []
        self.lock = threading.RLock()

    def create(self, key: tuple[str, str], private: bool) -> None:
        attributes = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES)
        tree = {".gitattributes": self.add(attributes.encode())}
        self.repositories[key] = Repository(private, {"main": [self.commit_of("initial commit", tree)]})

    def add(self, content: bytes) -> Entry:
        """Keep a regular file, under git's digest of it."""
        digest = git_digest(content)
        self.blobs[digest] = content
        return Entry(digest, len(content))

    def add_lfs(self, sha256: str) -> Entry:
        """Name an LFS object that was uploaded before."""
        size = len(self.blobs[sha256])
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
        return Entry(git_digest(pointer.encode()), size, sha256)

    def commit_of(self, title: str, tree: dict[str, Entry], parent: str = "") -> Commit:
        date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        digest = hashlib.sha1(repr((parent, title, sorted(tree.items()), len(self.requests))).encode())
        return Commit(digest.hexdigest(), title, date, tree)


def git_digest(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

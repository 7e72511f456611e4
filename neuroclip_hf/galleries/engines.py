"""Embeddings of a gallery in a vector database, where one machine is not enough: Qdrant, through its own client.

An address is `qdrant://HOST[:PORT]/COLLECTION`, or `qdrants://...` over HTTPS; the key is read from QDRANT_API_KEY.
`qdrant:///FOLDER/COLLECTION` is the client's in-process mode, which keeps everything below a folder and is for trials.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import torch

from neuroclip_hf import columns
from neuroclip_hf.data.pictures import PictureFolder, Target, picture_spellings, spellings
from neuroclip_hf.errors import InputError
from neuroclip_hf.galleries.fingerprints import model_fingerprints, refuse_another
from neuroclip_hf.galleries.searchable import SearchableGallery, unit_queries
from neuroclip_hf.logging import get_logger, progress

if TYPE_CHECKING:
    from neuroclip_hf.galleries.index.searching import GalleryIndex

SCHEMES = {"qdrant": "http", "qdrants": "https"}
PORT = 6333
"""Qdrant's own."""
KEY_VARIABLE = "QDRANT_API_KEY"
BATCH = 1000
"""Vectors that are sent at once (ours): 3 MB of 768 values each."""
TIMEOUT = 30
"""Seconds after which an engine counts as not reachable (ours)."""
_NAMES = "names"
_FACTS = ("schema", "kind", "names", "entries", "width", "checkpoint", "tower")


@dataclass(frozen=True)
class Address:
    """Where a collection is.

    Args:
        text (`str`): as it was given.
        server (`str` or None): its URL; None for the in-process mode.
        folder (`str` or None): of the in-process mode.
        collection (`str`): its name.
    """

    text: str
    server: str | None
    folder: str | None
    collection: str

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read an address.

        Raises:
            InputError: for another scheme, or without a collection.
        """
        parts = urlsplit(text)
        folder, _, collection = parts.path.rpartition("/")
        try:
            port = parts.port or PORT
        except ValueError:
            port = 0
        if parts.scheme not in SCHEMES or not collection or not port or bool(parts.netloc) == bool(folder):
            raise InputError(
                f"{text} is no address of an engine: write qdrant://HOST:PORT/COLLECTION, qdrants:// for HTTPS, or "
                "qdrant:///FOLDER/COLLECTION for the in-process mode."
            )
        server = f"{SCHEMES[parts.scheme]}://{parts.hostname}:{port}" if parts.netloc else None
        return cls(text, server, folder or None, collection)


def is_engine(given: Any) -> bool:
    """Whether something is meant as the address of an engine."""
    return isinstance(given, str) and "://" in given


@contextmanager
def _reaching(address: Address) -> Iterator[None]:
    from qdrant_client.http.exceptions import ApiException

    try:
        yield
    except (ApiException, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{address.text}: the engine is not reachable, or refuses ({reason}): start it, correct the address, or "
            f"set {KEY_VARIABLE}."
        ) from None


def connect(address: Address) -> Any:
    """A client of a running engine.

    Raises:
        InputError: if the client's library is missing, or the engine is not reachable.
    """
    try:
        from qdrant_client import QdrantClient
    except ImportError:
        raise InputError(
            f"{address.text} needs qdrant-client, which is not installed: run pip install 'neuroclip-hf[index]'."
        ) from None
    if address.folder is not None:
        try:
            return QdrantClient(path=address.folder)
        except (RuntimeError, OSError) as error:  # another process has it open, or it cannot be written
            raise InputError(f"{address.text} cannot be opened ({error}): name another folder.") from None
    key = os.environ.get(KEY_VARIABLE)
    with _reaching(address):
        client = QdrantClient(url=address.server, api_key=key, timeout=TIMEOUT, check_compatibility=False)
        client.get_collections()
    return client


def check_reachable(text: str) -> None:
    """Refuse an address that cannot be used, before work starts.

    Raises:
        InputError: see [`connect`].
    """
    connect(Address.parse(text)).close()


def send_index(index: "GalleryIndex", text: str, *, overwrite: bool = False) -> int:
    """Send the entries of an index to an engine; what an interrupted sending left there is gone on with.

    Args:
        index (`GalleryIndex`): what is sent.
        text (`str`): the address.
        overwrite (`bool`): replace a collection that holds something else.

    Returns:
        How many entries were sent now.

    Raises:
        InputError: if the engine is not reachable, or the collection holds something else.
    """
    address = Address.parse(text)
    facts = {name: value for name, value in asdict(index.facts).items() if name in _FACTS}
    facts["vectors"] = index.entries.dataset._fingerprint
    client = connect(address)
    try:
        with _reaching(address):
            start = _begin(client, address, facts, overwrite)
            if start:
                get_logger().info("Going on: %d of %d entries are there already.", start, index.size)
            _send(client, address.collection, index, start)
    finally:
        client.close()
    return index.size - start


def _begin(client: Any, address: Address, facts: dict[str, Any], overwrite: bool) -> int:
    """Make the collection, or find how much of the same one is there."""
    from qdrant_client import models

    name = address.collection
    if client.collection_exists(name):
        if client.get_collection(name).config.metadata == facts:
            return int(client.count(name, exact=True).count)
        if not overwrite:
            raise InputError(f"{address.text} holds something else: pass --overwrite to replace it, or name another.")
        client.delete_collection(name)
    vectors = models.VectorParams(size=facts["width"], distance=models.Distance.COSINE)
    client.create_collection(name, vectors_config=vectors, metadata=facts)
    if address.server is not None:  # the in-process mode has none, and warns
        for field in (_NAMES, columns.CONCEPT):
            client.create_payload_index(name, field, models.PayloadSchemaType.KEYWORD)
    return 0


def _send(client: Any, collection: str, index: "GalleryIndex", start: int) -> None:
    from qdrant_client import models

    names = index.gallery.names
    rows = range(start, index.size, BATCH)
    for first in progress(rows, desc="sent to the engine", unit="batch"):
        batch = index.entries.dataset.with_format("numpy")[first : first + BATCH]
        ids = [str(name) for name in batch[columns.IMAGE_ID]]
        payloads = [_payload(name, names) for name in ids]
        vectors = batch["embedding"].tolist()
        numbers: list[Any] = list(range(first, first + len(ids)))
        client.upsert(collection, models.Batch(ids=numbers, vectors=vectors, payloads=payloads), wait=True)


def _payload(entry: str, names: PictureFolder | None) -> dict[str, Any]:
    if names is None:
        return {columns.IMAGE_ID: entry, _NAMES: [entry]}
    spelt = sorted(picture_spellings(entry))
    return {columns.IMAGE_ID: entry, _NAMES: spelt, columns.CONCEPT: names.concept(entry)}


class EngineGallery(SearchableGallery):
    """A gallery that [`send_index`] sent to an engine; how exactly it is searched is the engine's to say.

    Args:
        text (`str`): the address.

    Raises:
        InputError: if the engine is not reachable, or the collection is missing, not whole or not ours.
    """

    def __init__(self, text: str) -> None:
        self._address = Address.parse(text)
        self._client = connect(self._address)
        name = self._address.collection
        with _reaching(self._address):
            if not self._client.collection_exists(name):
                raise InputError(f"{text} does not exist: make it with neuroclip index --to.")
            facts = self._client.get_collection(name).config.metadata or {}
            count = self._client.count(name, exact=True).count
        lacking = [field for field in _FACTS if field not in facts]
        if lacking:
            raise InputError(f"{text} was not made by neuroclip index --to (it says no {lacking[0]}): name another.")
        if count != facts["entries"]:
            raise InputError(f"{text} holds {count} of {facts['entries']} entries: send the index again to go on.")
        self._facts = facts

    @property
    def size(self) -> int:
        """How many entries there are."""
        return int(self._facts["entries"])

    @cached_property
    def _folder(self) -> PictureFolder | None:
        return None if self._facts["names"] is None else PictureFolder(Path(self._facts["names"]), ())

    def find(self, name: str) -> Target | None:
        """What an event's name means here."""
        if self._folder is None:
            return Target("", name) if self._matching(_NAMES, name) else None
        for candidate in spellings(name):
            pictures, of_concept = self._matching(_NAMES, candidate), self._matching(columns.CONCEPT, candidate)
            # As PictureFolder.find has it.
            if len(pictures) == 1 and (len(of_concept) <= 1 or pictures[0] == candidate):
                return Target(self._folder.concept(pictures[0]), pictures[0])
            if of_concept:
                return Target(candidate)
        return None

    def is_right(self, entry: str, target: Target) -> bool:
        """Whether an entry is what was shown."""
        if target.image_id or self._folder is None:
            return entry == target.image_id
        return self._folder.concept(entry) == target.concept

    def search(self, embeds: torch.Tensor, top_k: int) -> list[list[tuple[str, float]]]:
        """Ids with cosines of the entries that fit best, see [`SearchableGallery.search`]."""
        from qdrant_client import models

        queries = unit_queries(embeds, self._facts["width"]).tolist()
        asked = [models.QueryRequest(query=one, limit=top_k, with_payload=[columns.IMAGE_ID]) for one in queries]
        with _reaching(self._address):
            found = self._client.query_batch_points(self._address.collection, requests=asked)
        return [[(point.payload[columns.IMAGE_ID], float(point.score)) for point in one.points] for one in found]

    def check(self, model: Any, processor: Any) -> None:
        """Refuse another model than the one that embedded it."""
        mine = model_fingerprints(model, processor)
        remedy = "name the run that made it, or send an index of this one."
        refuse_another(self._address.text, self._facts, mine, remedy)

    def close(self) -> None:
        """Let the engine go; a folder of the in-process mode may be opened again then."""
        self._client.close()

    def _matching(self, field: str, value: str) -> list[str]:
        """Ids of two entries at most whose payload says so."""
        from qdrant_client import models

        wanted = models.FieldCondition(key=field, match=models.MatchValue(value=value))
        with _reaching(self._address):
            found, _ = self._client.scroll(
                self._address.collection, scroll_filter=models.Filter(must=[wanted]), limit=2, with_payload=True
            )
        return [point.payload[columns.IMAGE_ID] for point in found]

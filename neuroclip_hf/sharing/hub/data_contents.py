"""What goes up of a trial store: its export, with the pictures if they may be redistributed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from neuroclip_hf.data.parquet import layout
from neuroclip_hf.data.parquet.card import dataset_card
from neuroclip_hf.data.parquet.export import export_store
from neuroclip_hf.data.parquet.layout import read_export_info
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.files import write_text
from neuroclip_hf.privacy import refuse_private
from neuroclip_hf.sharing.hub.contents import CARD, Contents

_REPLACED = tuple(f"{name}/*" for name in (layout.TRIALS, layout.PICTURES, layout.STORE))


@contextmanager
def data_contents(
    path: Path, repo_id: str, *, revision: str | None = None, licence: str | None = None
) -> Iterator[Contents]:
    """Export a store into a folder that is gone afterwards.

    Args:
        path (`Path`): the store.
        repo_id (`str`): where it goes; the card says so.
        revision (`str`, *optional*): its branch, where that is not the one that is loaded by default.
        licence (`str`, *optional*): of what is published, as the Hub spells it: "cc-by-4.0".

    Raises:
        InputError: if the store is damaged, or a file of it holds a secret or an absolute path.
    """
    store = TrialStore(path)
    images = store.info.redistribute_pictures
    left_out = [] if images else ["pictures: the store does not say that they may be redistributed."]
    with TemporaryDirectory(prefix="neuroclip-push-") as temporary:
        folder = export_store(path, Path(temporary) / repo_id.split("/")[-1], images=images)
        write_text(folder / CARD, dataset_card(store, read_export_info(folder), repo_id, revision, licence))
        refuse_private(folder, path)
        yield Contents(folder, left_out, _REPLACED)

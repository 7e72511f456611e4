"""Big galleries: embedded once, kept as a dataset beside a FAISS index, searched exactly or approximately."""

from neuroclip_hf.galleries.index.building import build_index
from neuroclip_hf.galleries.index.searching import GalleryIndex, as_searchable

__all__ = ["GalleryIndex", "as_searchable", "build_index"]

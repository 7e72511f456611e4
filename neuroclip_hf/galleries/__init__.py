"""Galleries: pictures or texts to choose from, and what fits a recording best among them."""

from neuroclip_hf.galleries.gallery import EmbeddedGallery, Gallery, as_gallery, embed_gallery
from neuroclip_hf.galleries.index import GalleryIndex, as_searchable, build_index
from neuroclip_hf.galleries.retrieving import Match, Retrieval, Retrieved, retrieve
from neuroclip_hf.galleries.searchable import SearchableGallery
from neuroclip_hf.galleries.sheet import write_sheet

__all__ = [
    "EmbeddedGallery",
    "Gallery",
    "GalleryIndex",
    "Match",
    "Retrieval",
    "Retrieved",
    "SearchableGallery",
    "as_gallery",
    "as_searchable",
    "build_index",
    "embed_gallery",
    "retrieve",
    "write_sheet",
]

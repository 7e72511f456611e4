"""Galleries: pictures or texts to choose from, and what fits a recording best among them."""

from neuroclip_hf.galleries.gallery import EmbeddedGallery, Gallery, as_gallery, embed_gallery, load_gallery
from neuroclip_hf.galleries.retrieving import Match, Retrieval, Retrieved, retrieve
from neuroclip_hf.galleries.sheet import write_sheet

__all__ = [
    "EmbeddedGallery",
    "Gallery",
    "Match",
    "Retrieval",
    "Retrieved",
    "as_gallery",
    "embed_gallery",
    "load_gallery",
    "retrieve",
    "write_sheet",
]

"""Generic Object Decoding for `datasets`: the builder lives in the package, see the README beside this file."""

from neuroclip_hf.data.builders.god import GenericObjectDecoding

__all__ = ["GenericObjectDecoding"]

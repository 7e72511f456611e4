"""THINGS-EEG2 for `datasets`: the builder lives in the package, see the README beside this file."""

from neuroclip_hf.data.builders.things_eeg2 import ThingsEEG2

__all__ = ["ThingsEEG2"]

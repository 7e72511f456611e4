"""Fetching published recordings from where their authors keep them: resumed, checked, unpacked safely."""

from neuroclip_hf.data.download.folder import Downloaded, download
from neuroclip_hf.data.download.sources import Source, things_eeg2_sources
from neuroclip_hf.data.download.transfer import Patience

__all__ = ["Downloaded", "Patience", "Source", "download", "things_eeg2_sources"]

"""A stream of EEG or MEG, decoded while it comes."""

from neuroclip_hf.live.decoding import Answer, RunningDecoder
from neuroclip_hf.live.epoching import Epocher, LeftOut, LiveTrial
from neuroclip_hf.live.session import LiveSession, Notice
from neuroclip_hf.live.settings import LiveSettings
from neuroclip_hf.live.source import Block, Marker, StreamForm, StreamLost, StreamSource

__all__ = [
    "Answer",
    "Block",
    "Epocher",
    "LeftOut",
    "LiveSession",
    "LiveSettings",
    "LiveTrial",
    "Marker",
    "Notice",
    "RunningDecoder",
    "StreamForm",
    "StreamLost",
    "StreamSource",
]

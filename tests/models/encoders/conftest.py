"""The encoders to hold to the contract, and a stand-in for braindecode, whose torchaudio cannot be installed here."""

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from neuroclip_hf.models import ENCODERS, encoder_config

CHANNELS, SAMPLES, VOXELS, WIDTH = 5, 160, 30, 12
# Names that a recipe could say; every entry of the registry has to be among them.
NAMES = [f"{name}:StandIn" if name == "braindecode" else name for name in ENCODERS]
SETTINGS = {"braindecode:StandIn": {"dead_weights": ["filters.bias"]}, "kernel_ridge": {"num_trials": 40}}


class StandIn(nn.Module):
    """A model with the habits of braindecode's.

    Its start weights are its own, and it takes what torch's functions for them return; it finds its sizes by running
    once, which needs numbers; it keeps a buffer that no checkpoint holds; and it has a bias in front of batch norm,
    which is dead.
    """

    def __init__(self, n_chans=None, n_outputs=None, n_times=None, sfreq=None, n_filters=6):
        super().__init__()
        self.sfreq = sfreq
        self.filters = nn.Conv1d(n_chans, n_filters, 9)
        self.norm = nn.BatchNorm1d(n_filters)
        self.gain = nn.Parameter(nn.init.normal_(torch.empty(n_filters, 1)))
        self.shift = nn.Parameter(torch.randn(n_filters, 1))
        self.register_buffer("window", torch.hann_window(n_times - 8, periodic=False) + 1, persistent=False)
        with torch.no_grad():
            flat = self.read(torch.ones(2, n_chans, n_times)).numpy().size // 2
        self.final_layer = nn.Linear(flat, n_outputs)
        nn.init.xavier_uniform_(self.final_layer.weight)
        nn.init.constant_(self.final_layer.bias, 0.5)

    def read(self, eeg):
        return (
            torch.tanh(self.norm(self.filters(eeg)) * self.gain * self.window + self.shift)
            .unfold(-1, 8, 8)
            .mean(dim=-1)
        )

    def forward(self, eeg):
        return self.final_layer(self.read(eeg).flatten(1))


class TwoOutputs(StandIn):
    def forward(self, eeg):
        return super().forward(eeg)[:, None].expand(-1, 2, -1)


class EEGModuleMixin:
    """In braindecode.models, but no torch module."""


@pytest.fixture
def braindecode(monkeypatch):
    """Put a stand-in for braindecode where `import` finds it."""
    package, models = ModuleType("braindecode"), ModuleType("braindecode.models")
    package.models = models
    for each in (StandIn, TwoOutputs, EEGModuleMixin):
        monkeypatch.setattr(each, "__module__", "braindecode.models.stand_in")
        setattr(models, each.__name__, each)
    models.nn, models.Linear, models.np, models.build = nn, nn.Linear, np, StandIn.__init__
    monkeypatch.setitem(sys.modules, "braindecode", package)
    monkeypatch.setitem(sys.modules, "braindecode.models", models)
    return models


def reads_patterns(name):
    """Whether an encoder reads patterns (voxels,); the others read trials (channels, samples)."""
    return ENCODERS[name.partition(":")[0]][1].main_input_name == "fmri_values"


@pytest.fixture
def patterns_are_read(name):
    """Whether the encoder of the test does."""
    return reads_patterns(name)


@pytest.fixture
def small():
    """The config of a small encoder, with some settings changed."""

    def make(name, **settings):
        trials = {"num_channels": CHANNELS, "num_timesteps": SAMPLES}
        sizes = {"num_voxels": VOXELS} if reads_patterns(name) else trials
        return encoder_config(name, **sizes | {"hidden_size": WIDTH} | SETTINGS.get(name, {}) | settings)

    return make


@pytest.fixture(params=NAMES)
def name(request, braindecode):
    """Each encoder in turn; braindecode's is the stand-in."""
    return request.param

"""A variational encoder that ignores its input is noticed; a sound one is not complained of."""

import numpy as np
import pytest
import torch

from neuroclip_hf.evaluation.fit import flags_of
from neuroclip_hf.protocols.run import train_on_store
from neuroclip_hf.training.collapse import find_collapse
from neuroclip_hf.training.settings import load_recipe

SMALL = {"encoder_settings.width": 16, "encoder_settings.latent_size": 4, "epochs": 12, "batch_size": 16}


@pytest.fixture
def patterns(array_store):
    """A store of patterns that tell eight pictures apart."""
    generator = np.random.default_rng(0)
    brain = generator.standard_normal((10, 12))[np.arange(50) % 10] * 3 + generator.standard_normal((50, 12))
    return array_store(brain=brain, channel_names=None, sampling_rate=None, unit=None)


def train(store, **changes):
    return train_on_store(load_recipe("brainclip", {**SMALL, "learning_rate": 0.01, **changes}), store)


def test_a_huge_penalty_makes_it_collapse_and_that_is_said(patterns, caplog):
    trained = train(patterns, **{"encoder_settings.kl_weight": 1e4})
    (flag,) = [each for each in trained.facts["flags"] if "collapsed" in each]
    assert "Lower kl_weight" in flag
    assert flag in caplog.text
    rows = patterns.select("test")
    keys = ("digest", "image_id", "concept", "training_concept", "validation_concept")
    seen: dict[str, list[str]] = {key: [] for key in keys}
    reported = flags_of(patterns, None, trained.facts, trained.processor, seen, patterns.info.protocol)
    assert len(rows)
    assert flag in reported


def test_a_sound_one_is_not_complained_of(patterns, caplog):
    trained = train(patterns)
    assert trained.facts["flags"] == []
    assert "collapse" not in caplog.text


class Constant(torch.nn.Module):
    """An encoder whose outputs nearly agree."""

    main_input_name = "fmri_values"
    device = torch.device("cpu")

    def __init__(self, spread):
        super().__init__()
        self.spread = spread

    def encode_recordings(self, subject_index, **values):
        return 1 + self.spread * values[self.main_input_name], None


@pytest.mark.parametrize(("spread", "said"), [(1e-3, True), (0.1, False), (0.0, True)])
def test_constant_outputs_of_any_encoder_are_said(spread, said):
    items = torch.randn(700, 5)
    model = Constant(spread).train()

    def collate(some):
        return {"fmri_values": torch.stack(some), "subject_index": torch.zeros(len(some), dtype=torch.int64)}

    found = find_collapse(model, items, collate)
    assert bool(found) == said
    assert all("are the same" in each for each in found)
    assert model.training

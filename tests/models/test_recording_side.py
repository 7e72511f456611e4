"""Recordings by the name that the encoder gives them, and penalties that join the loss."""

import pytest
import torch

from neuroclip_hf.errors import InputError
from neuroclip_hf.models import NeuroCLIPModel


@pytest.fixture
def pattern_batch(batch):
    """Four patterns of three pictures."""
    return {"fmri_values": torch.randn(4, 6), **{key: batch[key] for key in batch if key != "eeg_values"}}


def test_the_encoder_names_the_input(patterns, make_model, pattern_batch):
    model = make_model(encoder_config=patterns)
    assert (make_model().main_input_name, model.main_input_name) == ("eeg_values", "fmri_values")
    embeds = model(**pattern_batch).brain_embeds
    values = pattern_batch["fmri_values"]
    assert torch.equal(embeds, model.get_brain_features(values))
    assert torch.equal(embeds, model.get_brain_features(fmri_values=values))


def test_recordings_of_another_modality_are_refused(patterns, make_model, pattern_batch, batch):
    with pytest.raises(InputError, match="eeg_values was given, but the encoder of this model reads fmri_values"):
        make_model(encoder_config=patterns)(**batch)
    with pytest.raises(InputError, match="fmri_values was given, but the encoder of this model reads eeg_values"):
        make_model()(**pattern_batch)
    with pytest.raises(InputError, match="eegvalues was given"):
        make_model().get_brain_features(eegvalues=batch["eeg_values"])
    with pytest.raises(InputError, match="there are no recordings: pass eeg_values"):
        make_model().get_brain_features()


def test_penalties_join_the_loss_with_their_weights(patterns, make_model, pattern_batch):
    without = make_model(encoder_config={**patterns, "size_weight": 0.0}, prompt_config=None)(**pattern_batch)
    model = make_model(encoder_config=patterns, prompt_config=None)
    output = model(**pattern_batch)
    features = model.encoder(pattern_batch["fmri_values"]).features
    torch.testing.assert_close(output.penalties["size"], features.square().mean(dim=1))
    torch.testing.assert_close(output.loss, without.loss + 0.5 * features.square().mean())
    assert "penalties" not in make_model()(eeg_values=torch.randn(2, 5, 20), return_loss=False)


def test_a_model_of_patterns_is_saved_and_loaded(patterns, make_model, pattern_batch, tmp_path):
    model = make_model(encoder_config=patterns)
    model.save_pretrained(tmp_path)
    loaded = NeuroCLIPModel.from_pretrained(tmp_path)
    assert loaded.main_input_name == "fmri_values"
    assert torch.equal(loaded(**pattern_batch).loss, model(**pattern_batch).loss)

"""transformers' own Trainer trains, evaluates and saves NeuroCLIP with nothing but model, collator and dataset."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import Trainer, TrainingArguments
from transformers.utils import logging as transformers_logging

from neuroclip_hf.errors import InputError
from neuroclip_hf.models import NeuroCLIPModel

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


class Toy(torch.utils.data.Dataset):
    """Twelve recordings that are linear in their pictures."""

    def __init__(self, size=16):
        self.pictures = torch.randn(12, 3, size, size)
        self.recordings = self.pictures.flatten(1)[:, :100].reshape(12, 5, 20)

    def __len__(self):
        return 12

    def __getitem__(self, row):
        return {
            "eeg_values": self.recordings[row],
            "pixel_values": self.pictures[row],
            "image_id": torch.tensor(row),
        }


def test_trains_evaluates_and_saves(make_model, tmp_path):
    seen = {}

    def compute_metrics(prediction):
        brain, image = prediction.predictions
        seen["shapes"] = (brain.shape, image.shape)
        return {"mean": float(np.mean(brain))}

    model, toy = make_model(), Toy()
    tower = {name: dict(model.named_parameters())[name].clone() for name in model.frozen_parameter_names()}
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=30,
        per_device_train_batch_size=4,
        per_device_eval_batch_size=5,
        learning_rate=2e-3,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        save_strategy="no",
        dataloader_pin_memory=False,
    )
    trainer = Trainer(model, arguments, train_dataset=toy, eval_dataset=toy, compute_metrics=compute_metrics)
    before = trainer.evaluate()
    assert seen["shapes"] == ((12, 8), (12, 8))
    start = model.encoder.projector.linear.weight.detach().clone()
    trainer.train()
    assert not torch.equal(model.encoder.projector.linear.weight, start)
    assert all(torch.equal(dict(model.named_parameters())[name], value) for name, value in tower.items())
    assert trainer.evaluate()["eval_loss"] < before["eval_loss"]
    trainer.save_model(str(tmp_path / "saved"))
    loaded = NeuroCLIPModel.from_pretrained(tmp_path / "saved")
    assert torch.equal(loaded.get_brain_features(toy.recordings), model.eval().get_brain_features(toy.recordings))


def test_resumes_from_a_checkpoint_without_the_tower_to_the_bit(tmp_path, caplog):
    def trained(**resume):
        torch.manual_seed(0)
        model = NeuroCLIPModel.from_vision_pretrained(
            encoder_settings={"num_channels": 5, "num_timesteps": 20, "hidden_size": 8}, projection_dim=8
        )
        arguments = TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=4,
            per_device_train_batch_size=4,
            save_steps=2,
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        torch.manual_seed(1)
        Trainer(model, arguments, train_dataset=Toy(size=32)).train(**resume)
        return model.state_dict()

    whole = trained()
    stored = load_file(tmp_path / "checkpoint-2" / "model.safetensors")
    assert not any("encoder.layers" in name for name in stored)
    transformers_logging.enable_propagation()
    resumed = trained(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    transformers_logging.disable_propagation()
    assert "missing keys" not in caplog.text
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_accumulated_gradients_are_refused_without_a_callback(make_model, tmp_path):
    settings = {"output_dir": str(tmp_path), "max_steps": 2, "report_to": [], "use_cpu": True}
    with pytest.raises(InputError, match=r"accumulated.*picture_chunk_size"):
        Trainer(
            make_model(), TrainingArguments(**settings, gradient_accumulation_steps=2), train_dataset=Toy()
        ).train()
    Trainer(make_model(), TrainingArguments(**settings), train_dataset=Toy()).train()  # as if nothing had been

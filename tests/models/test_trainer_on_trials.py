"""transformers' Trainer on the trials of a store: metrics, checkpoints, resume, the best model, half precision."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, AutoProcessor, Trainer, TrainingArguments

import neuroclip_hf
from neuroclip_hf import BrainImageCollator, DatasetEpochs, NeuroCLIPModel, TrialDataset, columns, retrieval_metrics
from neuroclip_hf.data.perturbation import Perturbation
from neuroclip_hf.data.trials import TrainingView
from neuroclip_hf.errors import InputError
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.protocols.building import build_model, image_processor_for
from neuroclip_hf.training.settings import load_recipe

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
VIEW = TrainingView((1, 2), Perturbation(noise=0.3, shift=1, channel_dropout=0.1, time_mask=0.1, scaling=0.1))


@pytest.fixture
def parts(store, trained, tiny_overrides):
    """A fresh model with every part and dropout, its processor, and datasets of training and validation trials."""
    recipe = load_recipe("neuroclip-intra", {**tiny_overrides, "tower": "small-clip", "seed": 3})
    torch.manual_seed(recipe.training.seed)
    model = build_model(recipe.model, trained.processor.feature_extractor)
    processor = replace_image_processor(trained.processor, image_processor_for(recipe.model, model))
    gallery, rows = store.gallery(columns.TRAIN), store.select(columns.TRAIN)
    pictures = PictureSet(store.open_picture, list(gallery[columns.IMAGE_ID]), processor)
    train = TrialDataset(store, store.trials, rows[::2], gallery, VIEW, seed=3)
    validation = TrialDataset(store, store.trials, rows[1::2], gallery, TrainingView(), seed=3)
    return model, processor, BrainImageCollator(processor, pictures), train, validation


def replace_image_processor(processor, image_processor):
    return type(processor)(processor.feature_extractor, image_processor)


def arguments(folder, **changes):
    settings = {
        "output_dir": str(folder),
        "label_names": ["image_id"],
        "per_device_train_batch_size": 8,
        "per_device_eval_batch_size": 8,
        "learning_rate": 2e-3,
        "max_steps": 6,
        "save_steps": 2,
        "eval_steps": 2,
        "eval_strategy": "steps",
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
    return TrainingArguments(**settings | changes)


def trainer_of(parts, folder, **changes):
    model, processor, collator, train, validation = parts
    return Trainer(
        model,
        arguments(folder, **changes),
        data_collator=collator,
        train_dataset=train,
        eval_dataset=validation,
        compute_metrics=retrieval_metrics,
        processing_class=processor,
        callbacks=[DatasetEpochs()],
    )


def test_metrics_checkpoints_and_the_best_model(parts, store, tmp_path):
    best = {"load_best_model_at_end": True, "metric_for_best_model": "top5", "learning_rate": 0.05}
    trainer = trainer_of(parts, tmp_path, **best)
    trainer.train()
    scored = [entry for entry in trainer.state.log_history if "eval_top5" in entry]
    pictures = len(set(store.trials[columns.IMAGE_ID].to_numpy()[store.select(columns.TRAIN)[1::2]]))
    assert [entry["step"] for entry in scored] == [2, 4, 6]
    assert {entry["eval_gallery_size"] for entry in scored} == {pictures}
    assert scored[0]["eval_chance"] == pytest.approx(1 / pictures)
    chosen = max(scored, key=lambda entry: entry["eval_top5"])
    assert trainer.state.best_model_checkpoint.endswith(f"checkpoint-{chosen['step']}")
    stored = load_file(tmp_path / f"checkpoint-{chosen['step']}" / "model.safetensors")
    state = trainer.model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in stored.items())
    assert trainer.evaluate()["eval_top5"] == chosen["eval_top5"]


def test_what_it_saved_loads_by_auto_classes(parts, tmp_path):
    trainer = trainer_of(parts, tmp_path, max_steps=1)
    trainer.train()
    trainer.save_model(str(tmp_path / "saved"))
    neuroclip_hf.register()
    assert AutoConfig.from_pretrained(tmp_path / "saved").model_type == "neuroclip"
    model, processor = AutoModel.from_pretrained(tmp_path / "saved"), AutoProcessor.from_pretrained(tmp_path / "saved")
    assert type(processor) is type(parts[1])
    batch = parts[2]([parts[4][0], parts[4][1]])
    values = batch["eeg_values"]
    trained = trainer.model.eval()
    assert torch.equal(model.get_brain_features(values), trained.get_brain_features(values))
    assert torch.equal(
        model.get_image_features(batch["pixel_values"]), trained.get_image_features(batch["pixel_values"])
    )


@pytest.mark.parametrize("step", [4, 8, 10])  # within the first epoch, within the second, between two
def test_resumes_to_the_bit(parts, tmp_path, step):
    model, *others = parts
    start = {name: value.clone() for name, value in model.state_dict().items()}
    assert len(others[2]) == 5 * 8

    def train(**resume):
        model.load_state_dict(start)
        torch.manual_seed(9)
        others[2].set_epoch(7)  # the trainer is to say it
        trainer = trainer_of((model, *others), tmp_path, max_steps=11)
        trainer.train(**resume)
        last = trainer.evaluate()
        kept = {name: value.clone() for name, value in model.state_dict().items()}
        return kept, {name: last[name] for name in ("eval_loss", "eval_top1", "eval_top5")}

    whole, told = train()
    resumed, again = train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    assert told == again


def test_in_bf16_on_a_cpu(parts, tmp_path):
    trainer = trainer_of(parts, tmp_path, bf16=True)
    seen = []
    trainer.model.vision_model.encoder.layers[0].mlp.fc1.register_forward_hook(
        lambda _, given, output: seen.append(output.dtype)
    )
    trainer.train()
    assert set(seen) == {torch.bfloat16}
    assert all(value.dtype == torch.float32 for value in trainer.model.parameters())
    assert trainer.evaluate()["eval_loss"] < float("inf")


def test_without_ids_metrics_are_refused_with_the_remedy(parts, tmp_path):
    with pytest.raises(ValueError, match=r"label_ids is missing for .*label_names=\['image_id'\]"):
        trainer_of(parts, tmp_path, label_names=None).evaluate()


def test_accumulated_gradients_are_refused(parts, tmp_path):
    with pytest.raises(InputError, match=r"gradient_accumulation_steps is 2: .*picture_chunk_size"):
        trainer_of(parts, tmp_path, gradient_accumulation_steps=2).train()


@pytest.mark.parametrize("device_map", ["cpu", "auto"])
@pytest.mark.parametrize("whole", [False, True], ids=["small", "whole"])
def test_in_several_files_and_placed_by_a_map(parts, tmp_path, device_map, whole):
    model = parts[0].eval()
    model.save_pretrained(tmp_path, max_shard_size="20KB", include_backbone=whole)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 1
    assert any("vision_model.encoder" in name for name in index["weight_map"]) is whole
    loaded = NeuroCLIPModel.from_pretrained(tmp_path, device_map=device_map)
    batch = parts[2]([parts[4][0], parts[4][1]])
    assert torch.equal(loaded(**batch).loss, model(**batch).loss)

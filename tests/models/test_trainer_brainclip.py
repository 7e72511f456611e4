"""transformers' Trainer on patterns: metrics, Auto classes, and a training that goes on to the bit."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoProcessor, Trainer, TrainingArguments

import neuroclip_hf
from neuroclip_hf import BrainImageCollator, DatasetEpochs, TrialDataset, columns, retrieval_metrics
from neuroclip_hf.data.trials import TrainingView
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor
from neuroclip_hf.protocols.building import build_model, build_processor
from neuroclip_hf.training.settings import load_recipe

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def parts(array_store):
    """A fresh model with dropout, noise and mixed trials; its processor, collator and training trials."""
    brain = np.random.default_rng(0).standard_normal((50, 9))
    store = array_store(brain=brain, channel_names=None, sampling_rate=None, unit=None)
    small = {"encoder_settings.width": 8, "encoder_settings.latent_size": 4}
    recipe, rows = load_recipe("brainclip", small), store.select(columns.TRAIN)
    brain_side = BrainFeatureExtractor.fit(store, rows)
    torch.manual_seed(3)
    model = build_model(recipe.model, brain_side)
    processor = build_processor(recipe.model, brain_side, model)
    gallery = store.gallery(columns.TRAIN)
    pictures = PictureSet(store.open_picture, list(gallery[columns.IMAGE_ID]), processor)
    collator = BrainImageCollator(processor, pictures, None, processor.picture_inputs(gallery))
    return model, processor, collator, TrialDataset(store, store.trials, rows, gallery, TrainingView(), seed=3)


def trainer_of(parts, folder, **changes):
    model, processor, collator, dataset = parts
    settings = {
        "output_dir": str(folder),
        "label_names": ["image_id"],
        "per_device_train_batch_size": 8,
        "learning_rate": 2e-3,
        "max_steps": 7,
        "save_steps": 2,
        "eval_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
    return Trainer(
        model,
        TrainingArguments(**settings | changes),
        data_collator=collator,
        train_dataset=dataset,
        eval_dataset=dataset,
        compute_metrics=retrieval_metrics,
        processing_class=processor,
        callbacks=[DatasetEpochs()],
    )


def test_it_trains_scores_and_is_found_by_auto_classes(parts, tmp_path):
    trainer = trainer_of(parts, tmp_path)
    trainer.train()
    scores = trainer.evaluate()
    assert (scores["eval_gallery_size"], scores["eval_chance"]) == (8, pytest.approx(1 / 8))
    assert scores["eval_loss"] < float("inf")
    trainer.save_model(str(tmp_path / "saved"))
    neuroclip_hf.register()
    model, processor = AutoModel.from_pretrained(tmp_path / "saved"), AutoProcessor.from_pretrained(tmp_path / "saved")
    assert (type(model), type(processor)) == (type(parts[0]), type(parts[1]))
    batch = parts[2]([parts[3][0], parts[3][9]])
    assert torch.equal(model(**batch).loss, trainer.model.eval()(**batch).loss)
    words = ["an image of a dog."]
    assert torch.equal(processor.tokens(words)["input_ids"], parts[1].tokens(words)["input_ids"])


@pytest.mark.parametrize("step", [2, 6])  # within the first epoch of five steps, and within the second
def test_resumes_to_the_bit(parts, tmp_path, step):
    model, *others = parts
    start = {name: value.clone() for name, value in model.state_dict().items()}

    def train(**resume):
        model.load_state_dict(start)
        torch.manual_seed(9)
        trainer_of((model, *others), tmp_path).train(**resume)
        return {name: value.clone() for name, value in model.state_dict().items()}

    whole = train()
    resumed = train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    assert not all(torch.equal(value, start[name]) for name, value in whole.items())

"""Recipe and store to a run: never a look at test, equal bits for equal seeds, and whole folders or none."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from neuroclip_hf import NeuroCLIPModel, NeuroCLIPProcessor, TrialStore
from neuroclip_hf.checkpoints import load_run
from neuroclip_hf.data.sources.arrays import prepare_arrays
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation import accuracy_of, rank_test_split
from neuroclip_hf.protocols import parts, run
from neuroclip_hf.protocols.evaluating import evaluate_run
from neuroclip_hf.protocols.run import save_run, train_on_store, train_run
from neuroclip_hf.training.settings import load_recipe


def state(trained) -> dict[str, torch.Tensor]:
    return trained.model.state_dict()


def equal(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def changed(recipe, **settings):
    return replace(recipe, training=replace(recipe.training, **settings))


def test_garbage_in_the_test_split_changes_no_bit_of_the_checkpoint(array_store, tiny_overrides):
    store = array_store()
    clean = train_on_store(load_recipe("demo", tiny_overrides), store)
    array = np.load(store.path / "sub-01" / "test.npy")
    array[:] = np.nan
    array[::2] = 60000
    np.save(store.path / "sub-01" / "test.npy", array)
    for image_id in store.gallery("test")["image_id"]:
        file = store.pictures.set_index("image_id").loc[image_id, "picture_file"]
        (store.path / file).write_bytes(b"no picture")
    spoilt = train_on_store(load_recipe("demo", tiny_overrides), TrialStore(store.path))
    assert equal(state(clean), state(spoilt))
    assert clean.result.history == spoilt.result.history
    assert clean.processor.to_dict() == spoilt.processor.to_dict()


def test_training_reads_no_row_of_test(store, recipe, monkeypatch):
    forbidden, read = set(store.select("test").tolist()), []

    def spy(self, trials):
        read.extend(np.asarray(trials).tolist())
        return real(self, trials)

    real = TrialStore.read
    monkeypatch.setattr(TrialStore, "read", spy)
    for shuffled in (False, True):
        train_on_store(recipe, store, shuffled=shuffled)
    assert set(read) == set(store.select("train").tolist())
    assert not forbidden & set(read)


def test_equal_seeds_give_equal_bits_and_others_do_not(store, recipe, trained):
    torch.rand(5)
    assert equal(state(trained), state(train_on_store(recipe, store)))
    assert not equal(state(trained), state(train_on_store(changed(recipe, seed=1), store)))


def test_workers_change_nothing(store, recipe, trained):
    assert equal(state(trained), state(train_on_store(changed(recipe, num_workers=2), store)))


def test_the_control_is_the_same_training_on_other_pairs(store, recipe, trained):
    control = train_on_store(recipe, store, shuffled=True)
    assert control.facts["shuffled_pairs"]
    assert not trained.facts["shuffled_pairs"]
    assert control.processor.to_dict() == trained.processor.to_dict()
    assert control.model.config.encoder_config == trained.model.config.encoder_config
    assert not equal(state(control), state(trained))
    frozen = trained.model.frozen_parameter_names()
    assert all(torch.equal(state(control)[name], state(trained)[name]) for name in frozen)


def test_training_leaves_the_table_as_it_was(store, recipe):
    before = store.trials.copy()
    train_on_store(recipe, store, shuffled=True)
    assert store.trials.equals(before)


def test_loaded_runs_give_the_same_bits(trained, run_folder, store):
    trials, picture = store.read(np.arange(3)), store.open_picture(store.pictures["image_id"].iloc[0])
    model, processor = NeuroCLIPModel.from_pretrained(run_folder), NeuroCLIPProcessor.from_pretrained(run_folder)
    for loaded in ((model.eval(), processor), load_run(run_folder)):
        for mine, theirs in zip(_embed(trained.model, trained.processor), _embed(*loaded), strict=True):
            assert torch.equal(mine(trials, picture), theirs(trials, picture))
    assert equal(model.state_dict(), state(trained))


def _embed(model, processor):
    def brain(trials, picture):
        return model.get_brain_features(
            processor(trials, channel_names=processor.feature_extractor.channel_names)["eeg_values"]
        )

    def image(trials, picture):
        return model.get_image_features(processor(images=picture)["pixel_values"])

    def frozen(trials, picture):
        return model.get_frozen_image_features(processor(images=picture)["pixel_values"])

    return brain, image, frozen


def test_a_run_holds_all_that_is_promised(store, recipe, tmp_path):
    seen = []
    out = train_run(recipe, store, tmp_path / "run", control=True, finish=lambda folder: seen.append(folder.name))
    names = {"config.json", "model.safetensors", "processor_config.json", "recipe.yaml", "run.json", "training.jsonl"}
    names.add("trained_on.json")
    assert {path.name for path in out.iterdir()} == names | {"control"}
    assert {path.name for path in (out / "control").iterdir()} == names
    assert load_recipe(out / "recipe.yaml") == recipe
    entries = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in entries] == [1, 2]
    assert set(entries[0]) == {"epoch", "loss", "validation_loss", "validation_top1"}
    facts = json.loads((out / "run.json").read_text())
    assert (facts["store"], facts["data"], facts["seed"]) == (store.info.fingerprint, "simulated", 0)
    assert seen != ["run"]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, FloatingPointError, RuntimeError])
@pytest.mark.parametrize("where", ["train_on_store", "save_run", "finish"])
def test_nothing_is_left_of_a_run_that_broke(store, recipe, trained, tmp_path, monkeypatch, error, where):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr(run, "train_on_store", lambda *_, **__: trained)
    if where != "finish":
        monkeypatch.setattr(run, where, broken)
    with pytest.raises(error):
        train_run(recipe, store, tmp_path / "run", finish=broken if where == "finish" else None)
    assert not list(tmp_path.iterdir())


def test_an_output_that_cannot_be_written_is_named_before_the_work(store, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "train_on_store", lambda *_: pytest.fail("it was trained"))
    (tmp_path / "file").write_text("mine")
    for out in ("file", "file/run"):
        with pytest.raises(InputError, match="file"):
            train_run(recipe, store, tmp_path / out)
    assert (tmp_path / "file").read_text() == "mine"


def test_subjects_are_chosen_and_named(store, recipe):
    one = train_on_store(replace(recipe, data=replace(recipe.data, subjects=["sub-02"])), store)
    assert one.facts["subjects"] == one.processor.feature_extractor.subjects == ["sub-02"]
    with pytest.raises(InputError, match="no subject sub-09; it holds sub-01, sub-02"):
        train_on_store(replace(recipe, data=replace(recipe.data, subjects=["sub-09"])), store)


def loso(recipe, **settings):
    data = replace(recipe.data, split="leave-one-subject-out", held_out_subject="2", **settings)
    return replace(recipe, data=data)


def test_no_trial_of_the_held_out_subject_is_read_in_training(store, recipe, monkeypatch):
    read = []

    def spy(self, trials):
        read.extend(np.asarray(trials).tolist())
        return real(self, trials)

    real = TrialStore.read
    monkeypatch.setattr(TrialStore, "read", spy)
    trained = train_on_store(loso(recipe), store)
    assert set(read) == set(store.select("train", ["sub-01"]).tolist())
    assert trained.processor.feature_extractor.subjects == ["sub-01"]
    assert {name: trained.facts[name] for name in ("split", "subjects", "held_out_subject")} == {
        "split": "leave-one-subject-out",
        "subjects": ["sub-01"],
        "held_out_subject": "sub-02",
    }


def test_garbage_in_the_held_out_subject_changes_no_bit(array_store, tiny_overrides):
    subject = np.repeat(["sub-01", "sub-02"], 25)
    clean, spoilt = array_store(subject=subject), array_store("spoilt", subject=subject)
    for split in ("train", "test"):
        array = np.load(spoilt.path / "sub-02" / f"{split}.npy")
        array[:] = np.nan
        np.save(spoilt.path / "sub-02" / f"{split}.npy", array)
    recipe = loso(load_recipe("demo", tiny_overrides))
    trained = [train_on_store(recipe, TrialStore(store.path)) for store in (clean, spoilt)]
    assert equal(state(trained[0]), state(trained[1]))
    assert trained[0].processor.to_dict() == trained[1].processor.to_dict()


def test_only_trials_of_the_held_out_subject_are_opened(store, recipe, tmp_path, monkeypatch):
    train_run(loso(recipe), store, tmp_path / "run")
    read = []

    def spy(self, trials):
        read.extend(np.asarray(trials).tolist())
        return real(self, trials)

    real = TrialStore.read
    monkeypatch.setattr(TrialStore, "read", spy)
    report = evaluate_run(tmp_path / "run", store)
    unlabelled = store.select("train", ["sub-02"])  # for what is calibrated
    assert set(read) == {*store.select("test", ["sub-02"]).tolist(), *unlabelled.tolist()}
    assert (list(report.subjects), report.split, report.tested_subjects) == (
        ["sub-02"],
        "leave-one-subject-out",
        "new",
    )
    within = evaluate_run(tmp_path / "run", store, subjects=["1"], overwrite=True)
    assert (list(within.subjects), within.tested_subjects) == (["sub-01"], "trained")
    with pytest.raises(InputError, match="was trained on sub-01 and not on sub-02"):
        evaluate_run(tmp_path / "run", store, subjects=["1", "2"], overwrite=True)


def test_an_intra_subject_run_is_tested_on_its_subject(store, recipe, tmp_path):
    one = replace(recipe, data=replace(recipe.data, split="intra-subject", subjects=["2"]))
    train_run(one, store, tmp_path / "run")
    report = evaluate_run(tmp_path / "run", store)
    assert (list(report.subjects), report.split, report.tested_subjects) == (["sub-02"], "intra-subject", "trained")


@pytest.mark.parametrize(
    ("by", "shared"),
    [("sessions", "pictures"), ("pictures", "concepts"), ("concepts", "nothing"), ("subjects", "pictures")],
)
def test_what_validates_is_chosen_and_what_it_shares_is_said(store, recipe, by, shared):
    chosen = parts.choose_parts(replace(recipe, data=replace(recipe.data, validation=by)), store)
    assert chosen.facts(store.trials)["validation"] == {
        "by": by,
        "trials": len(chosen.validation),
        "shares_with_training": shared,
    }
    assert sorted([*chosen.train, *chosen.validation]) == store.select("train").tolist()


def test_a_declared_validation_split_is_neither_replaced_nor_made_up(array_store, recipe, store):
    image_id = np.arange(50) % 10
    declared = array_store(split=np.where(image_id < 6, "train", np.where(image_id < 8, "validation", "test")))
    with pytest.raises(InputError, match=r"validation is concepts, but .* declares a validation split"):
        parts.choose_parts(replace(recipe, data=replace(recipe.data, validation="concepts")), declared)
    with pytest.raises(InputError, match=r"declares no validation split for sub-01, sub-02: say validation=auto"):
        parts.choose_parts(replace(recipe, data=replace(recipe.data, validation="store")), store)


def test_a_named_subject_without_training_trials_is_refused(array_store, recipe):
    store = array_store(subject=np.where(np.arange(50) % 10 < 8, "sub-01", "sub-02"))
    with pytest.raises(InputError, match="no training trials of sub-02: leave it out of subjects"):
        parts.choose_parts(recipe, store)


def test_the_sampling_is_chosen_and_said(store, recipe, trained):
    assert trained.facts["sampling"] == {
        "by": "subjects-by-pictures",
        "batch_size": 16,
        "trials_an_epoch": 64,
        "subjects_a_batch": 2,
        "pictures_a_batch": 8,
    }
    other = train_on_store(changed(recipe, sampling="shuffled"), store)
    assert other.facts["sampling"] == {"by": "shuffled", "batch_size": 16, "trials_an_epoch": 64}
    assert not equal(state(other), state(trained))


def test_too_few_concepts_for_validation(array_store, tiny_overrides):
    keep = np.arange(50) % 10 >= 7  # one concept to train on, two to test
    generator = np.random.default_rng(0)
    store = array_store(
        brain=generator.standard_normal((15, 3, 20)) * 1e-5,
        image_id=(np.arange(50) % 10)[keep],
        split=np.where((np.arange(50) % 10)[keep] < 8, "train", "test"),
    )
    with pytest.raises(InputError, match="Validation cannot be held out of 5"):
        train_on_store(load_recipe("demo", tiny_overrides), store)


def test_a_declared_validation_split_is_used(array_store, tiny_overrides, monkeypatch):
    image_id = np.arange(50) % 10
    split = np.where(image_id < 6, "train", np.where(image_id < 8, "validation", "test"))
    store = array_store(split=split)
    monkeypatch.setattr(parts, "hold_out_validation", lambda *_: pytest.fail("validation was held out"))
    trained = train_on_store(load_recipe("demo", tiny_overrides), store)
    ranked = {"gallery_size": 2, "possible_pictures": 2, "queries": 2}
    assert trained.facts["validation"] == {"by": "store", "trials": 10, "shares_with_training": "nothing"} | ranked
    assert 0 <= trained.result.history[0]["validation_top1"] <= 1


def test_ts_conv_trains_with_a_last_batch_of_one(array_store, tiny_overrides):
    encoder = {"kernel_size": 5, "pool_size": 16, "pool_stride": 8, "num_filters": 4, "hidden_size": 8}
    settings = {**tiny_overrides, "encoder": "ts_conv", "encoder_settings": encoder, "batch_size": 29}
    store = (
        array_store()
    )  # 30 items once two concepts are held out; one place in time is left, which batch norm refuses
    trained = train_on_store(load_recipe("demo", settings), store)
    assert trained.model.config.encoder_config.model_type == "ts_conv"
    with pytest.raises(InputError, match="at least 75 samples"):
        train_on_store(load_recipe("demo", {**settings, "encoder_settings": {}}), store)


def test_evaluation_writes_a_report_once(run_copy, store):
    report = evaluate_run(run_copy, store)
    assert json.loads((run_copy / "report.json").read_text()) == report.to_dict()
    before = (run_copy / "report.json").read_bytes()
    with pytest.raises(InputError, match="--overwrite"):
        evaluate_run(run_copy, store, average=1)
    assert (run_copy / "report.json").read_bytes() == before
    assert evaluate_run(run_copy, store, average=1, overwrite=True).averaged_repeats == 1


def test_the_control_is_evaluated_too(run_copy, recipe, store):
    control = train_on_store(recipe, store, shuffled=True)
    save_run(control, recipe, run_copy / "control")
    expected = accuracy_of(rank_test_split(control.model, control.processor, store))["top1"]
    assert evaluate_run(run_copy, store).control_top1 == expected


def test_a_bare_checkpoint_is_evaluated_as_far_as_it_is_known(run_copy, run_folder, store):
    (run_copy / "run.json").unlink()
    report = evaluate_run(run_copy, store)
    assert (report.seed, report.selection, report.run, report.control_top1) == (None, None, {}, None)
    assert report.tower == "small-clip"
    full = evaluate_run(run_copy, store, overwrite=True)
    assert full.top1 == report.top1


@pytest.mark.parametrize("prompt", [{}, None])
def test_training_sees_pictures_as_evaluation_does(recipe, store, prompt):
    trained = train_on_store(replace(recipe, model=replace(recipe.model, prompt=prompt)), store)
    model, gallery = trained.model.eval(), store.gallery("train")
    pixels = trained.processor(images=[store.open_picture(name) for name in gallery["image_id"][:3]])["pixel_values"]
    frozen = model.get_frozen_image_features(pixels)
    values = torch.zeros(3, *trained.processor.feature_extractor.trial_shape)
    with torch.no_grad():
        seen = model(eeg_values=values, pixel_values=pixels, image_features=frozen).image_embeds
        assert torch.allclose(seen, model.get_image_features(pixels), atol=1e-5)
    assert model.image_features_mean.abs().max() > 0


@pytest.fixture
def array_store_with_pictures(tmp_path):
    """Stores of the same six pictures, of which some train and some test."""
    pictures = np.random.default_rng(5).integers(0, 256, (6, 16, 16), dtype=np.uint8)
    brain = np.random.default_rng(4).standard_normal((24, 3, 20)) * 1e-5

    def make(name, split, protocol="new-trials", shift=0.0):
        path = tmp_path / f"{name}.npz"
        arrays = {"brain": brain + shift, "images": pictures, "image_id": np.arange(24) % 6, "split": split}
        concept = np.array(["cat", "dog"] * 3)
        np.savez(path, **arrays, concept=concept, sampling_rate=50.0, unit="V")
        return TrialStore(prepare_arrays(path, tmp_path / name, protocol=protocol))

    return make


def test_a_run_is_not_tested_on_what_it_was_trained_on(array_store_with_pictures, recipe, tmp_path):
    split = np.array(["train"] * 12 + ["validation"] * 6 + ["test"] * 6)
    first = array_store_with_pictures("first", split)
    train_run(recipe, first, tmp_path / "run")
    assert evaluate_run(tmp_path / "run", first).protocol == "new-trials"
    swapped = np.array(["test"] * 6 + ["train"] * 18)
    with pytest.raises(InputError, match="6 test trials were trained on by"):
        evaluate_run(tmp_path / "run", array_store_with_pictures("second", swapped), overwrite=True)
    new_pictures = np.array((["train"] * 3 + ["test"] * 3) * 4)
    other = array_store_with_pictures("third", new_pictures, "new-pictures", shift=1e-6)
    report = evaluate_run(tmp_path / "run", other, overwrite=True)
    assert (other.info.protocol, report.protocol) == ("new-pictures", "new-trials")  # the pictures were trained on


def test_pictures_in_chunks_give_the_same_training(store, recipe, trained):
    chunked = train_on_store(changed(recipe, picture_chunk_size=3), store)
    assert chunked.model.picture_chunk_size == 3
    for mine, theirs in zip(chunked.result.history, trained.result.history, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-3)

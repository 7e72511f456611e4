"""`train`, `evaluate` and `retrieve`, in this process."""

import json

import pytest
from PIL import Image

from neuroclip_hf.data.recordings import find_recordings, open_recording
from neuroclip_hf.protocols import run as protocol


@pytest.fixture
def recording(simulated):
    return simulated / "sub-01" / "ses-01" / "raw_eeg_test.npy"


@pytest.fixture
def gallery(simulated):
    return simulated / "test_images"


def test_train_evaluate_retrieve(neuroclip, store_folder, tiny_words, recording, gallery, tmp_path):
    run = tmp_path / "run"
    words = ("--data", store_folder, "--out", run, *tiny_words, "subjects=sub-01")
    made = neuroclip("train", "demo", *words, "--control", "--json")
    assert made.result["run"] == str(run)
    assert "shards" not in made.err
    card = (run / "README.md").read_text()
    assert f'from_pretrained("{run.name}")' in card
    assert str(tmp_path) not in card
    found = neuroclip("evaluate", run, "--data", store_folder, "--subjects", "sub-01", "--json")
    assert found.result == json.loads((run / "report.json").read_text())
    assert found.result["control_top1"] is not None
    assert "Loading weights" not in found.err
    assert f"{found.result['top1']:.3f} (chance" in (run / "README.md").read_text()
    sheet = tmp_path / "sheet.png"
    retrieved = neuroclip("retrieve", run, "--recording", recording, "--gallery", gallery, "--sheet", sheet, "--json")
    assert len(retrieved.result["queries"]) == 6
    assert retrieved.result["sheet"] == str(sheet)
    with Image.open(sheet) as picture:
        assert picture.format == "PNG"


def test_the_same_training_again_does_nothing(neuroclip, refused, store_folder, tiny_words, tmp_path, snapshot):
    words = ("train", "demo", "--data", store_folder, "--out", tmp_path / "run", *tiny_words, "epochs=1")
    made = neuroclip(*words, "--json")
    before = snapshot(tmp_path)
    again = neuroclip(*words, "--json")
    assert again.result == made.result
    assert "is finished: it was trained with the same settings on the same store; nothing is to be done" in again.err
    assert "training.seed was 0 and is 1" in refused(*words, "seed=1")
    assert snapshot(tmp_path) == before


def test_leaving_one_subject_out(neuroclip, refused, store_folder, tiny_words, tmp_path):
    words = (*tiny_words, "split=leave-one-subject-out")
    places = ("--data", store_folder, "--out", tmp_path / "run")
    assert "held_out_subject: one of sub-01, sub-02" in refused("train", "demo", *words, *places)
    made = neuroclip("train", "demo", *words, "held_out_subject=2", *places, "--json")
    assert (made.result["split"], made.result["held_out_subject"]) == ("leave-one-subject-out", "sub-02")
    assert "subjects new to the model" in neuroclip("evaluate", tmp_path / "run", "--data", store_folder).out
    card = (tmp_path / "run" / "README.md").read_text()
    assert "| held-out subject | sub-02 |" in card
    assert "| subjects tested | those below, new to the model |" in card
    words = ("evaluate", tmp_path / "run", "--data", store_folder, "--overwrite", "--subjects")
    assert "subjects that trained" in neuroclip(*words, "1").out
    assert "not on sub-02" in refused(*words, "1,2")


def test_tables_for_people(neuroclip, run_copy, store_folder, recording, gallery):
    table = neuroclip("evaluate", run_copy, "--data", store_folder)
    assert table.code == 0
    assert all(word in table.out for word in ("top-1", "chance", "sub-02", "simulated"))
    assert "cosine" in neuroclip("retrieve", run_copy, "--recording", recording, "--gallery", gallery).out


def test_existing_outputs_are_left_alone(refused, run_copy, store_folder, recording, gallery, tmp_path, snapshot):
    (run_copy / "report.json").write_text("mine")
    (tmp_path / "sheet.png").write_text("mine")
    before = snapshot(tmp_path)
    for words in (
        ("train", "demo", "--data", store_folder, "--out", run_copy),
        ("evaluate", run_copy, "--data", store_folder),
        ("retrieve", run_copy, "--recording", recording, "--gallery", gallery, "--sheet", tmp_path / "sheet.png"),
    ):
        assert "--overwrite" in refused(*words)
        assert snapshot(tmp_path) == before


def test_replaced_when_asked(neuroclip, run_copy, store_folder, tiny_words, recording, gallery, tmp_path):
    (tmp_path / "sheet.png").write_text("old")
    sheet = ("--sheet", tmp_path / "sheet.png", "--overwrite")
    assert neuroclip("retrieve", run_copy, "--recording", recording, "--gallery", gallery, *sheet).code == 0
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    (run_copy / "report.json").write_text("{")
    assert neuroclip("evaluate", run_copy, "--data", store_folder, "--overwrite").code == 0
    assert neuroclip("train", "demo", "--data", store_folder, "--out", run_copy, "--overwrite", *tiny_words).code == 0
    assert not (run_copy / "report.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["epoch=3"], "did you mean 'epochs'"),
        (["epochs=three"], "must be a whole number"),
        (["encoder=eeg_projekt"], "eeg_project, ts_conv"),
        (["encoder_settings.hiden_size=3"], "hidden_size"),
        (["prompt.num_tokens=3"], "num_prompt_tokens"),
        (["tower=random", "tower_settings.hidden_sise=3"], "hidden_size"),
        (["tower=./nowhere"], "./nowhere"),
        (["subjects=sub-09"], "sub-01, sub-02"),
        (["split=intra-subject"], "subjects=sub-01"),
        (["split=loso"], "leave-one-subject-out"),
        (["validation=trial"], "concepts, pictures, trials, sessions"),
        (["sampling=class-balanced", "batch_size=4"], "there are 8, and batch_size is 4; say sampling=shuffled"),
        (["sampling=subjects-by-pictures", "subjects=1"], "needs several subjects"),
        (["encoder=ts_conv"], "at least 75 samples"),
        (["nonsense"], "name=value"),
    ],
)
def test_train_refuses_before_training(refused, store_folder, tmp_path, monkeypatch, words, message):
    monkeypatch.setattr(protocol, "train", lambda *_, **__: pytest.fail("it was trained"))
    settings = ["encoder_settings={}", *words] if "ts_conv" in words[0] else words
    assert message in refused("train", "demo", "--data", store_folder, "--out", tmp_path / "run", *settings)
    assert not list(tmp_path.iterdir())


def test_train_names_recipes_stores_and_places(refused, store_folder, tmp_path):
    assert "did you mean 'demo'" in refused("train", "demoo", "--data", store_folder, "--out", tmp_path / "run")
    assert "neuroclip prepare" in refused("train", "demo", "--data", tmp_path / "none", "--out", tmp_path / "run")
    (tmp_path / "file").write_text("mine")
    words = ("--data", store_folder, "--out", tmp_path / "file" / "run")
    assert "cannot be written" in refused("train", "demo", *words)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "processor_config.json", "run.json"])
def test_damaged_runs(refused, run_copy, store_folder, recording, gallery, name, snapshot):
    (run_copy / name).write_bytes((run_copy / name).read_bytes()[:40])
    before = snapshot(run_copy)
    refused("evaluate", run_copy, "--data", store_folder)
    if name != "run.json":
        refused("retrieve", run_copy, "--recording", recording, "--gallery", gallery)
    assert snapshot(run_copy) == before


def test_a_bare_checkpoint_keeps_its_readme(neuroclip, run_copy, store_folder):
    (run_copy / "run.json").unlink()
    (run_copy / "README.md").write_text("theirs")
    assert neuroclip("evaluate", run_copy, "--data", store_folder, "--json").result["seed"] is None
    assert (run_copy / "README.md").read_text() == "theirs"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--average", "0"], "average is 0"),
        (["--average", "99"], "99"),
        (["--draws", "3"], "--average"),
        (["--subjects", "sub-09"], "sub-09"),
    ],
)
def test_evaluate_refuses(refused, run_copy, store_folder, words, message):
    assert message in refused("evaluate", run_copy, "--data", store_folder, *words)
    assert not (run_copy / "report.json").exists()


def test_evaluate_refuses_a_store_that_does_not_fit(refused, run_copy, array_store):
    assert "lacks the channels Oz" in refused("evaluate", run_copy, "--data", array_store().path)


def test_retrieve_refuses(refused, run_folder, recording, gallery, simulated, tmp_path):
    def retrieve(**changes):
        options = {"recording": recording, "gallery": gallery, **changes}
        words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
        return refused("retrieve", run_folder, *words)

    assert "does not exist" in retrieve(recording=tmp_path / "none.fif")
    assert "none" in retrieve(gallery=tmp_path / "none")
    assert ".png" in retrieve(sheet=tmp_path / "sheet.jpg")
    assert "top_k is 0" in retrieve(top_k=0)
    assert "--events" in retrieve(events="a")
    assert not list(tmp_path.iterdir())


def test_retrieve_calibrates_and_interpolates_where_asked(
    neuroclip, refused, run_folder, recording, gallery, simulated, tmp_path
):
    words = ("retrieve", run_folder, "--gallery", gallery)
    training = simulated / "sub-01" / "ses-02" / "raw_eeg_training.npy"
    found = neuroclip(*words, "--recording", recording, "--calibrate", training, "--json").result
    assert (found["tier"], found["calibration"]["trials"]) == ("calibrated", 20)
    shown = neuroclip(*words, "--recording", recording, "--calibrate", recording).out
    assert "Calibrated on 12 unlabelled trials: transductive." in shown
    raw = open_recording(find_recordings([recording])[0]).raw.copy().load_data()
    raw.drop_channels(["O1"]).save(tmp_path / "sub-01_raw.fif", verbose="ERROR")
    fewer = (*words, "--recording", tmp_path / "sub-01_raw.fif")
    assert "channels O1 are missing" in refused(*fewer)
    assert "Interpolated from 4 electrodes: O1." in neuroclip(*fewer, "--interpolate").out
    assert "none.fif does not exist" in refused(*fewer, "--calibrate", tmp_path / "none.fif")


def test_encoded_pictures_are_kept_where_asked(neuroclip, store_folder, tiny_words, tmp_path):
    words = ("train", "neuroclip-intra", "tower=small-clip", *tiny_words, "epochs=1", "--data", store_folder)
    neuroclip(*words, "--out", tmp_path / "run", "--image-features", tmp_path / "kept")
    assert [path.suffix for path in (tmp_path / "kept").iterdir()] == [".safetensors"]

"""Opening a run for a test: what is refused before a weight is read, and what is at hand afterwards."""

import shutil

import pytest

from neuroclip_hf import columns
from neuroclip_hf.checkpoints import read_trained_on
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation.tested_run import open_tested_run


def test_a_run_with_all_that_it_left(run_copy, store):
    run = open_tested_run(run_copy, store, columns.TEST)
    assert (run.subjects, run.protocol, run.flags) == (["sub-01", "sub-02"], store.info.protocol, [])
    assert run.seen == read_trained_on(run_copy)
    assert set(run.seen) >= {columns.DIGEST, columns.IMAGE_ID, columns.CONCEPT}
    assert not run.model.training
    assert run.processor.feature_extractor.subjects == ["sub-01", "sub-02"]


def test_a_bare_checkpoint(run_copy, store):
    for name in ("run.json", "trained_on.json"):
        (run_copy / name).unlink()
    run = open_tested_run(run_copy, store, columns.TEST)
    assert (run.facts, run.subjects, run.seen) == ({}, None, None)
    assert any("does not say what it was trained on" in flag for flag in run.flags)


def test_subjects_are_checked_before_weights_are_read(run_copy, store):
    (run_copy / "model.safetensors").unlink()
    with pytest.raises(InputError, match="sub-09"):
        open_tested_run(run_copy, store, columns.TEST, ["sub-09"])
    run = open_tested_run(run_copy, store, columns.TEST, ["1"])
    assert run.subjects == ["sub-01"]
    with pytest.raises(InputError, match=r"model\.safetensors"):
        _ = run.model


def test_the_control_is_read_where_there_is_one(run_copy, store, tmp_path):
    shutil.rmtree(run_copy / "control", ignore_errors=True)
    assert open_tested_run(run_copy, store, columns.TEST).control is None
    shutil.copytree(shutil.copytree(run_copy, tmp_path / "other"), run_copy / "control")
    model, processor = open_tested_run(run_copy, store, columns.TEST).control
    assert not model.training
    assert processor.feature_extractor.subjects == ["sub-01", "sub-02"]

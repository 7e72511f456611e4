"""ranking.safetensors gives back what was ranked, and nothing that does not fit is taken for a ranking."""

import json
import stat
from dataclasses import replace

import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from neuroclip_hf import columns
from neuroclip_hf.errors import InputError
from neuroclip_hf.evaluation import accuracy_of, load_ranking, rank_test_split, save_ranking
from neuroclip_hf.run_files import PLAN_FILE, RANKING_FILE


def test_a_ranking_is_saved_and_loaded(ranked, tmp_path):
    path = save_ranking(ranked, tmp_path)
    assert path == tmp_path / RANKING_FILE
    assert len({save_ranking(ranked, tmp_path).read_bytes() for _ in range(8)}) == 1
    found = load_ranking(tmp_path)
    assert found.queries == ranked.queries
    assert (found.image_ids, found.concepts) == (ranked.image_ids, ranked.concepts)
    assert found.repeats == ranked.repeats == [(0, 1, 2, 3)] * 12
    assert torch.equal(found.scores, ranked.scores)
    assert torch.equal(found.mask, ranked.mask)
    assert accuracy_of(found) == accuracy_of(ranked)
    assert found.scale == ranked.scale
    assert torch.equal(found.log_loss(), ranked.log_loss())
    assert (found.query_embeds, found.gallery_embeds) == (None, None)


def test_what_the_file_holds(ranked, store, tmp_path):
    with safe_open(save_ranking(ranked, tmp_path), framework="np") as file:
        words = json.loads(file.metadata()["ranking"])
        assert file.get_tensor("scores").shape == (12, 6)
        assert file.get_tensor("mask").dtype == bool
    gallery = store.gallery("test")
    assert words["image_ids"] == list(gallery["image_id"])
    assert words["concepts"] == list(gallery["concept"])
    first = ranked.queries[0]
    assert words["queries"][0] == {
        "subject": "sub-01",
        "image_id": first.image_id,
        "concept": first.concept,
        "trials": 4,
    }


def test_others_may_read_it_as_they_may_the_report(ranked, tmp_path):
    (tmp_path / "plain").write_text("")
    permissions = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert stat.S_IMODE(save_ranking(ranked, tmp_path).stat().st_mode) == permissions


def test_hits_are_per_query(ranked):
    hits = ranked.hits((1, 3))
    assert list(hits) == ["top1", "top3"]
    assert hits["top1"].dtype == torch.bool
    assert float(hits["top1"].double().mean()) == accuracy_of(ranked)["top1"]


def test_log_losses_are_at_the_scale_of_the_model(ranked, trained):
    assert ranked.scale == float(trained.model.scale().detach())
    losses = ranked.log_loss()
    probabilities = (ranked.scores.double() * ranked.scale).softmax(dim=1)
    assert torch.allclose((-losses).exp(), (probabilities * ranked.mask).sum(dim=1))
    assert list(ranked.answers()) == ["top1", "top5", "log_loss"]


def test_without_a_scale_or_with_nan_there_is_no_log_loss(ranked):
    assert list(replace(ranked, scale=None).answers()) == ["top1", "top5"]
    assert replace(ranked, scores=ranked.scores * float("nan")).log_loss() is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: {"scale": float("inf")}, "the scale of its cosines is inf"),
        (lambda one: {"scores": one.scores[:, :5]}, r"scores \(12, 5\)"),
        (lambda one: {"mask": one.mask[:3]}, r"mask \(3, 6\)"),
        (lambda one: {"mask": one.mask.float()}, "mask is float32"),
        (lambda one: {"mask": one.mask & False}, "a query has no right picture"),
        (lambda one: {"concepts": one.concepts[1:]}, "5 concepts"),
        (lambda one: {"repeats": one.repeats[1:]}, "12 queries have 11 lists of repeats"),
        (lambda one: {"queries": one.queries[1:], "repeats": one.repeats[1:]}, r"scores \(12, 6\)"),
    ],
)
def test_parts_that_do_not_fit_are_not_saved(ranked, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        save_ranking(replace(ranked, **change(ranked)), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda parts: {"scores": parts["scores"][:, :5].contiguous()}, r"scores \(12, 5\)"),
        (lambda parts: {"mask": parts["mask"].float()}, "mask is float32"),
        (lambda parts: {"mask": parts["mask"] & False}, "a query has no right picture"),
        (lambda parts: {"repeats": parts["repeats"][4:].clone()}, r"\(44,\) numbers of trials"),
    ],
)
def test_parts_of_a_file_that_do_not_fit_are_refused(ranked, tmp_path, change, message):
    path = save_ranking(ranked, tmp_path)
    with safe_open(path, framework="pt") as file:
        parts, words = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    save_file({**parts, **change(parts)}, path, words)
    with pytest.raises(InputError, match=rf"{RANKING_FILE} cannot be read .*{message}.*: evaluate the run again"):
        load_ranking(tmp_path)


def test_a_file_that_is_cut_off_or_holds_something_else(ranked, tmp_path):
    with pytest.raises(InputError, match=r"holds no ranking\.safetensors: evaluate the run first"):
        load_ranking(tmp_path)
    (tmp_path / PLAN_FILE).write_text("{}")
    with pytest.raises(InputError, match=r"holds several runs, and no ranking of its own: name one of them, .*runs/"):
        load_ranking(tmp_path)
    path = save_ranking(ranked, tmp_path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="cannot be read"):
        load_ranking(tmp_path)
    save_file({"scores": ranked.scores}, path)
    with pytest.raises(InputError, match="cannot be read"):
        load_ranking(tmp_path)
    save_file({name: torch.zeros(1) for name in ("scores", "mask", "trials", "repeats")}, path, {"queries": "{"})
    with pytest.raises(InputError, match="cannot be read"):
        load_ranking(tmp_path)


def test_a_gallery_that_lacks_a_target_is_refused(trained, store, monkeypatch):
    whole = store.gallery("test")
    monkeypatch.setattr(store, "gallery", lambda split: whole.iloc[1:].reset_index(drop=True))
    with pytest.raises(InputError, match=f"The gallery lacks the picture of '{whole['image_id'][0]}': add it"):
        rank_test_split(trained.model, trained.processor, store)


def test_repeats_name_the_trials(trained, store):
    found = rank_test_split(trained.model, trained.processor, store, average=2, subjects=["sub-02"])
    assert sorted(found.repeats) == sorted([(0, 1), (2, 3)] * 6)
    table: pd.DataFrame = store.trials
    for query, repeats in zip(found.queries, found.repeats, strict=True):
        rows = table.iloc[list(query.trials)]
        assert tuple(rows[columns.REPEAT]) == repeats
        assert set(rows[columns.IMAGE_ID]) == {query.image_id}

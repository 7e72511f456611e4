"""Exact search is topk of the whole product; approximate search says how much of it it finds."""

import pytest
import torch
from torch.nn.functional import normalize

from neuroclip_hf.galleries.index import exact
from neuroclip_hf.galleries.index.approximate import (
    choose_probes,
    read_lists,
    recall_at,
    search_lists,
    take_rows,
    train_lists,
    write_lists,
)
from neuroclip_hf.galleries.index.exact import largest, search_exact


@pytest.fixture
def clusters():
    """12,000 unit vectors around 100 centres in two blocks, and 50 queries."""
    centres = torch.randn(100, 16)
    vectors = normalize(centres[torch.randint(100, (12_050,))] + 0.3 * torch.randn(12_050, 16), dim=1)
    return [vectors[:7000], vectors[7000:12_000]], vectors[12_000:]


@pytest.mark.parametrize("sizes", [(10,), (3, 7), (77,), (1000, 3000, 1003), (32, 1)])
@pytest.mark.parametrize("queries", [1, 3, 70])
def test_the_best_of_all(sizes, queries, monkeypatch):
    monkeypatch.setattr(exact, "BLOCK_QUERIES", 32)
    monkeypatch.setattr(exact, "BLOCK_SCORES", 32 * 500)
    vectors, asked = torch.randn(sum(sizes), 8), torch.randn(queries, 8)
    for top_k in (1, 10):
        scores, rows = search_exact(list(vectors.split(sizes)), asked, top_k)
        expected = torch.topk(asked @ vectors.T, top_k)
        assert rows.tolist() == expected.indices.tolist()
        torch.testing.assert_close(scores, expected.values)


def test_equal_scores_do_not_hide_better_ones():
    scores = torch.zeros(1, 3205)
    scores[0, [40, 41, 42, 3204]] = torch.tensor([3.0, 2.0, 4.0, 1.0])
    values, places = largest(scores, 5)
    assert values.tolist() == [[4, 3, 2, 1, 0]]
    assert places[0, :4].tolist() == [42, 40, 41, 3204]


def test_rows_of_several_blocks(clusters):
    blocks, _ = clusters
    rows = torch.tensor([11_999, 0, 6999, 7000, 0])
    assert torch.equal(take_rows(blocks, rows), torch.cat(blocks)[rows])


def test_lists_find_what_is_near(clusters):
    blocks, queries = clusters
    lists = train_lists(blocks)
    assert (lists.nlist, lists.ntotal) == (110, 12_000)
    probes, recall = choose_probes(lists, blocks)
    assert 4 <= probes < 110
    assert recall >= 0.99
    scores, rows = search_lists(lists, blocks, queries, 10, probes)
    expected = search_exact(blocks, queries, 10)
    assert recall_at(rows, expected[1]) > recall_at(search_lists(lists, blocks, queries, 10, 1)[1], expected[1])
    assert recall_at(rows, expected[1]) >= 0.95
    all_scores, all_rows = search_lists(lists, blocks, queries, 10, 110)
    assert recall_at(all_rows, expected[1]) > 0.999
    torch.testing.assert_close(all_scores[:, 0], expected[0][:, 0])  # exact, though lists hold a byte a value
    torch.testing.assert_close(scores, torch.einsum("qkd,qd->qk", torch.cat(blocks)[rows], queries))


def test_lists_with_too_little_in_them_say_so(clusters):
    blocks, queries = clusters
    scores, rows = search_lists(train_lists(blocks), blocks, queries, 2000, 1)
    assert (rows == -1).any()
    assert scores[rows == -1].isneginf().all()
    assert scores[rows >= 0].isfinite().all()


def test_few_entries_are_all_looked_at(tmp_path):
    vectors = normalize(torch.randn(30, 4), dim=1)
    lists = train_lists([vectors])
    assert choose_probes(lists, [vectors]) == (1, 1.0)
    write_lists(lists, tmp_path / "index.faiss")
    again = read_lists(tmp_path / "index.faiss", 30, 4)
    rows = search_lists(again, [vectors], vectors[:3], 5, 1)[1]
    assert torch.equal(rows, search_exact([vectors], vectors[:3], 5)[1])


def test_recall_by_hand():
    assert recall_at(torch.tensor([[3, 1], [7, 8]]), torch.tensor([[1, 2], [8, 7]])) == 0.75

"""Numbers of papers stand beside the same protocol on the same recordings, and nowhere else."""

import re
from types import SimpleNamespace

import pytest

from neuroclip_hf.evaluation.references import BRAVL, REFERENCES, reference_beside

ROW = {"gallery_size": 50, "subjects": {f"sub-0{number}": {"num_queries": 1750} for number in range(1, 6)}}
INFO = SimpleNamespace(data="recorded", source="god")


def ask(row=ROW, protocol="new-concepts", **info):
    return reference_beside(BRAVL, SimpleNamespace(info=SimpleNamespace(**{**vars(INFO), **info})), row, protocol)


def test_it_stands_beside_its_own_protocol():
    for source in ("god", "bravl"):
        found, why = ask(source=source)
        assert (found, why) == (REFERENCES[BRAVL], "")
    assert (found.top1, found.top5) == (0.1399, 0.5313)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"data": "simulated"}, "the recordings are simulated"),
        ({"source": "things-eeg2"}, "made from things-eeg2"),
        ({"protocol": "new-pictures"}, "new-concepts forbids"),
        ({"row": {**ROW, "gallery_size": 200}}, "there are 200 classes, not 50"),
        ({"row": {**ROW, "subjects": {"sub-01": {"num_queries": 1750}}}}, "there are 1 subjects, not 5"),
        (
            {"row": {**ROW, "subjects": {**ROW["subjects"], "sub-05": {"num_queries": 50}}}},
            r"not every subject has 1750 single trials \(sub-05 with 50\)",
        ),
    ],
)
def test_it_stands_nowhere_else(changes, why):
    found, words = ask(**changes)
    assert found is None
    assert re.search(why, words)

"""Means and deviations known by hand."""

import pytest

from neuroclip_hf.data.subjects import SubjectSplit
from neuroclip_hf.protocols.reproduce.plan import PlannedRun
from neuroclip_hf.protocols.reproduce.summary import _over_subjects, _spread


def test_the_deviation_is_that_of_a_sample():
    found = _spread([0.1, 0.3])
    assert found["mean"] == pytest.approx(0.2)
    assert found["std"] == pytest.approx(0.2 / 2**0.5)
    assert found["values"] == [0.1, 0.3]
    assert _spread([0.4]) == {"mean": 0.4, "std": None, "values": [0.4]}


def test_subjects_are_averaged_before_seeds_are_compared():
    runs = [PlannedRun(SubjectSplit("intra-subject", (name,), (name,)), seed) for seed in (0, 1) for name in "ab"]
    found = _over_subjects(dict(zip(runs, [0.0, 1.0, 1.0, 0.5], strict=True)))
    assert found["values"] == [0.5, 0.75]
    assert found["mean"] == pytest.approx(0.625)

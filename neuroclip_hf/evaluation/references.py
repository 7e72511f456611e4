"""Numbers of other papers, and when they may stand beside ours: for the same protocol on the same recordings only."""

from dataclasses import dataclass
from typing import Any

from neuroclip_hf import columns
from neuroclip_hf.data.god import FACTS
from neuroclip_hf.data.store import TrialStore

BRAVL = "bravl"


@dataclass(frozen=True)
class Reference:
    """A row of a paper's table.

    Args:
        name (`str`): of the method.
        top1, top5 (`float`): fractions, means over subjects.
        described (`str`): the protocol, in words.
        source (`str`): where the numbers stand.
    """

    name: str
    top1: float
    top5: float
    described: str
    source: str


REFERENCES = {
    BRAVL: Reference(
        "BraVL",
        0.1399,
        0.5313,
        "50-way, 1,750 single trials a subject, mean of 5 subjects",
        "Du et al., Decoding Visual Neural Representations by Multimodal Learning of Brain-Visual-Linguistic "
        "Features, IEEE TPAMI 2023",
    )
}
"""Protocols by name -> whose they are."""
_SOURCES = ("god", "bravl")


def reference_beside(name: str, store: TrialStore, row: dict[str, Any], protocol: str) -> tuple[Reference | None, str]:
    """The reference row of a protocol, or why it may not stand beside a result.

    Args:
        name (`str`): one of [`REFERENCES`].
        store (`TrialStore`): that was evaluated on.
        row (`dict`): of single trials, from [`neuroclip_hf.evaluation.identification.describe`].
        protocol (`str`): what training and test really share.
    """
    trials = FACTS.test_categories * FACTS.test_pictures * FACTS.test_repeats
    odd = [
        f"{who} with {found['num_queries']}"
        for who, found in row["subjects"].items()
        if found["num_queries"] != trials
    ]
    reasons = {
        f"the recordings are {store.info.data}": store.info.data != columns.RECORDED,
        f"the store is made from {store.info.source}, not from Generic Object Decoding": store.info.source
        not in _SOURCES,
        f"there are {row['gallery_size']} classes, not {FACTS.test_categories}": row["gallery_size"]
        != FACTS.test_categories,
        f"not every subject has {trials} single trials ({', '.join(odd[:3])})": bool(odd),
        f"there are {len(row['subjects'])} subjects, not {FACTS.subjects}": len(row["subjects"]) != FACTS.subjects,
        f"training and test share what {columns.NEW_CONCEPTS} forbids": protocol != columns.NEW_CONCEPTS,
    }
    wrong = [words for words, holds in reasons.items() if holds]
    return (None, "; ".join(wrong)) if wrong else (REFERENCES[name], "")

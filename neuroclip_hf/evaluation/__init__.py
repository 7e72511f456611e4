"""Checkpoint + test split -> report: one schema for the whole package."""

from neuroclip_hf.evaluation.assembling import accuracy_of, evaluate
from neuroclip_hf.evaluation.comparison import compare_rankings
from neuroclip_hf.evaluation.fit import flags_of, subjects_to_test
from neuroclip_hf.evaluation.ranking import (
    OTHER_RANKING_FILE,
    RANKING_FILE,
    Ranking,
    load_ranking,
    rank_test_split,
    save_ranking,
)
from neuroclip_hf.evaluation.repeats import accuracy_by_repeats
from neuroclip_hf.evaluation.report import REPORT_FILE, Report, read_report, write_report
from neuroclip_hf.evaluation.tiers import embed_unlabelled
from neuroclip_hf.processing.fitting import fitting_part

__all__ = [
    "Ranking",
    "RANKING_FILE",
    "OTHER_RANKING_FILE",
    "rank_test_split",
    "save_ranking",
    "load_ranking",
    "accuracy_of",
    "accuracy_by_repeats",
    "embed_unlabelled",
    "evaluate",
    "Report",
    "REPORT_FILE",
    "read_report",
    "write_report",
    "fitting_part",
    "flags_of",
    "subjects_to_test",
    "compare_rankings",
]

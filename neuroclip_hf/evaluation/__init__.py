"""Checkpoint + test split -> report: one schema for the whole package."""

from neuroclip_hf.evaluation.assembling import evaluate
from neuroclip_hf.evaluation.comparison import compare_rankings, compare_runs
from neuroclip_hf.evaluation.fit import flags_of, subjects_to_test
from neuroclip_hf.evaluation.measuring import accuracy_of
from neuroclip_hf.evaluation.ranking import Ranking, load_ranking, rank_test_split, save_ranking
from neuroclip_hf.evaluation.repeats import accuracy_by_repeats
from neuroclip_hf.evaluation.report import Report, read_report, write_report
from neuroclip_hf.evaluation.tiers import embed_unlabelled
from neuroclip_hf.processing.fitting import fitting_part

__all__ = [
    "Ranking",
    "rank_test_split",
    "save_ranking",
    "load_ranking",
    "accuracy_of",
    "accuracy_by_repeats",
    "embed_unlabelled",
    "evaluate",
    "Report",
    "read_report",
    "write_report",
    "fitting_part",
    "flags_of",
    "subjects_to_test",
    "compare_rankings",
    "compare_runs",
]

"""Measures of retrieval: torch tensors in, plain numbers out."""

from neuroclip_hf.metrics.prediction import retrieval_metrics
from neuroclip_hf.metrics.retrieval import (
    accuracy_from_scores,
    chance_level,
    pairwise_identification,
    retrieval_accuracy,
    retrieval_scores,
    similarity,
)

__all__ = [
    "accuracy_from_scores",
    "chance_level",
    "pairwise_identification",
    "retrieval_accuracy",
    "retrieval_metrics",
    "retrieval_scores",
    "similarity",
]

"""Measures of retrieval, what may be done to embeddings before, and how far the numbers can be trusted."""

from neuroclip_hf.metrics.blocks import permutation_test_of_blocks
from neuroclip_hf.metrics.calibration import (
    center,
    csls_scores,
    matching_accuracy,
    one_to_one_assignment,
    orthogonal_alignment,
    sinkhorn_scores,
    standardize,
    whiten,
)
from neuroclip_hf.metrics.chance import chance_level, chance_log_loss
from neuroclip_hf.metrics.prediction import retrieval_metrics
from neuroclip_hf.metrics.retrieval import (
    accuracy_from_scores,
    hits_from_scores,
    log_loss_from_scores,
    n_way_accuracy,
    pairwise_from_scores,
    pairwise_identification,
    ranks_from_scores,
    retrieval_accuracy,
    retrieval_scores,
    similarity,
)
from neuroclip_hf.metrics.significance import (
    Interval,
    PairedComparison,
    PermutationResult,
    bootstrap_interval,
    compare_paired,
    permutation_test,
)

__all__ = [
    "Interval",
    "PairedComparison",
    "PermutationResult",
    "accuracy_from_scores",
    "bootstrap_interval",
    "center",
    "chance_level",
    "chance_log_loss",
    "compare_paired",
    "csls_scores",
    "hits_from_scores",
    "log_loss_from_scores",
    "matching_accuracy",
    "n_way_accuracy",
    "one_to_one_assignment",
    "orthogonal_alignment",
    "pairwise_from_scores",
    "pairwise_identification",
    "permutation_test",
    "permutation_test_of_blocks",
    "ranks_from_scores",
    "retrieval_accuracy",
    "retrieval_metrics",
    "retrieval_scores",
    "similarity",
    "sinkhorn_scores",
    "standardize",
    "whiten",
]

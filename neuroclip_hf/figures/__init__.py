"""From results to pictures of them: one idea a file, drawing apart from computing, and a page that holds them all.

Every function that draws takes plain values, arrays and pictures and returns a `matplotlib.figure.Figure`; what needs
a model is computed in `inspection`. Fractions stay fractions in [0, 1] until they are drawn as percent.
"""

from neuroclip_hf.figures.attention import attention_figure
from neuroclip_hf.figures.bars import Difference, Panel, accuracy_bars, difference_plot
from neuroclip_hf.figures.filters import filter_figure
from neuroclip_hf.figures.matrices import confusion_matrix, similarity_matrix
from neuroclip_hf.figures.ranking import confusion, sorted_scores
from neuroclip_hf.figures.repeats import RepeatPoint, repeats_curve
from neuroclip_hf.figures.scalp import scalp_map
from neuroclip_hf.figures.scores import Accuracies, Score
from neuroclip_hf.figures.segments import Segment, segment_curves
from neuroclip_hf.figures.sheets import (
    MAX_ROWS,
    NUM_FOUND,
    Found,
    PictureRow,
    SheetRow,
    draw_sheet,
    picture_sheet,
    retrieval_sheet,
)
from neuroclip_hf.figures.style import to_png
from neuroclip_hf.figures.training import training_curves

__all__ = [
    "MAX_ROWS",
    "NUM_FOUND",
    "Accuracies",
    "Difference",
    "Found",
    "Panel",
    "PictureRow",
    "RepeatPoint",
    "Score",
    "Segment",
    "SheetRow",
    "accuracy_bars",
    "attention_figure",
    "confusion",
    "confusion_matrix",
    "difference_plot",
    "draw_sheet",
    "filter_figure",
    "picture_sheet",
    "repeats_curve",
    "retrieval_sheet",
    "scalp_map",
    "segment_curves",
    "similarity_matrix",
    "sorted_scores",
    "to_png",
    "training_curves",
]

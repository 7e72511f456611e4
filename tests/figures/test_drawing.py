"""Figures show the numbers that they are given, and refuse what cannot be drawn."""

import io
import itertools

import matplotlib
import numpy as np
import pytest
from matplotlib.patches import Rectangle
from PIL import Image

from neuroclip_hf import figures
from neuroclip_hf.errors import InputError
from neuroclip_hf.figures import Accuracies, Difference, Panel, RepeatPoint, Score, Segment, style
from neuroclip_hf.figures.filters import amplification
from neuroclip_hf.figures.inspection.pictures import Filtered, Looked
from neuroclip_hf.figures.matrices import MAX_FAMILIES
from neuroclip_hf.figures.ranking import Confusion, SortedScores
from neuroclip_hf.figures.scalp import placed_channels, why_no_map
from neuroclip_hf.figures.tiles import tile

POSTERIOR = ["P7", "P3", "Pz", "P4", "P8", "O1", "Oz", "O2"]
TILE = tile("kites/kite_01.jpg", "kite")
ROWS = [
    Accuracies("nice", Score(0.3, 0.25, 0.36), Score(0.6)),
    Accuracies("$neuro_{clip", Score(0.5), Score(0.8, 0.7, 0.9)),
]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def line(axes, label):
    return next(one for one in axes.get_lines() if one.get_label() == label)


def filtered(change=0.01):
    before = np.full((6, 6, 3), 0.5)
    kernel = np.zeros((3, 3))
    kernel[1, 1] = 1.0
    return Filtered(before, before + change, kernel, spectral=False)


def looked(**changes):
    weights = np.array([[0.1, 0.2], [0.3, 0.4]])
    maps = [changes.get(name, weights) for name in ("fusion", "prompts", "prefix")]
    return Looked(np.full((4, 4, 3), 0.5), *maps, 0.2)


def every_figure():
    confusion = Confusion(["a", "b"], np.array([[3, 1], [0, 4]]), np.array([1, 3]))
    return {
        "bars": figures.accuracy_bars([Panel("intra", ROWS, 0.005, 0.025)]),
        "differences": figures.difference_plot([Difference("x", Score(0.1, 0.05, 0.15))], "y"),
        "segments": figures.segment_curves([Segment(0, 0.1, Score(0.3))], [Segment(0, 0.2, Score(0.4))], 0.005),
        "repeats": figures.repeats_curve([RepeatPoint(1, Score(0.1)), RepeatPoint(80, Score(0.5))], 0.005),
        "training": figures.training_curves([[{"epoch": 1, "loss": 2.0}]]),
        "confusion": figures.confusion_matrix(confusion, "family"),
        "similarity": figures.similarity_matrix(SortedScores(np.eye(3), "abc", "abc", 3), "aab"),
        "filters": figures.filter_figure([filtered()], ["kite"]),
        "attention": figures.attention_figure([looked()], ["kite"]),
        "scalp": figures.scalp_map(POSTERIOR, np.arange(8) / 8, "fall"),
    }


def test_every_figure_is_a_png_of_the_same_bytes_whatever_style_was_chosen():
    def drawn():
        return {name: style.to_png(figure) for name, figure in every_figure().items()}

    first = drawn()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "lines.linewidth": 9}):
        second = drawn()
        assert matplotlib.rcParams["font.size"] == 30
    for name, png in first.items():
        assert png == second[name], name
        with Image.open(io.BytesIO(png)) as picture:
            assert picture.format == "PNG"
            assert picture.width >= 700
            assert "Software" not in picture.info


def test_nothing_is_cut_off_at_the_edges():
    for name, figure in every_figure().items():
        with Image.open(io.BytesIO(style.to_png(figure))) as picture:
            pixels = np.asarray(picture.convert("L"))
        edge = np.concatenate([pixels[:4].ravel(), pixels[-4:].ravel(), pixels[:, :4].ravel(), pixels[:, -4:].ravel()])
        assert edge.min() > 250, name


def test_bars_are_as_long_as_the_numbers_with_error_bars_and_chance():
    figure = figures.accuracy_bars([Panel("intra", ROWS, 0.005, 0.025), Panel("inter", ROWS[:1], 0.01)])
    upper, lower = figure.axes
    bars = [patch for patch in upper.patches if isinstance(patch, Rectangle)]
    assert [bar.get_width() for bar in bars] == [0.3, 0.6, 0.5, 0.8]
    assert texts(upper) == ["30.0", "60.0", "50.0", "80.0"]
    ends = [segment[:, 0].tolist() for c in upper.collections for segment in c.get_segments()]
    np.testing.assert_allclose(ends, [[0.25, 0.36], [0.7, 0.9]])
    dashed = [one.get_xdata()[0] for one in upper.get_lines() if one.get_linestyle() in ("--", ":")]
    assert dashed == [0.005, 0.025]
    assert [label.get_text() for label in upper.get_yticklabels()] == ["nice", "$neuro_{clip"]
    assert lower.get_title(loc="left") == "inter"
    assert len(figure.legends[0].get_texts()) == 4


@pytest.mark.parametrize(
    ("label", "lines"),
    [
        ("without perturbation of the recordings", ["without perturbation of", "the recordings"]),
        ("braindecode:ShallowFBCSPNet", ["braindecode:", "ShallowFBCSPNet"]),
        ("neuroclip-intra (mine/with_a_long_name)", ["neuroclip-intra (mine/", "with_a_long_name)"]),
        ("z" * 30, ["z" * 24, "z" * 6]),
        ("z" * 90, ["z" * 24, "z" * 24, "z" * 23 + "…"]),
        ("a\n b", ["a b"]),
    ],
)
def test_labels_of_bars_are_whole_on_up_to_three_lines_which_never_overlap(label, lines):
    row = Accuracies(label, Score(0.3))
    drawn = [
        figures.accuracy_bars([Panel("intra", [row] * 3, 0.005)]),
        figures.difference_plot([Difference(label, Score(0.1, 0.05, 0.15))] * 3, label),
    ]
    for figure in drawn:
        style.to_png(figure)
        ticks = figure.axes[0].get_yticklabels()
        assert ticks[0].get_text().split("\n") == lines
        boxes = [tick.get_window_extent() for tick in ticks]
        assert all(lower.y1 <= upper.y0 for upper, lower in itertools.pairwise(boxes))
    assert drawn[1].axes[0].get_title(loc="left").replace("\n", "").startswith("Against")


def test_a_difference_is_filled_where_its_interval_leaves_zero_out():
    plotted = figures.difference_plot(
        [Difference("a", Score(0.1, 0.05, 0.2)), Difference("b", Score(0.1, -0.1, 0.3)), Difference("c", Score(0.1))],
        "reference",
    ).axes[0]
    filled = [c.lines[0].get_markerfacecolor() for c in plotted.containers]
    assert filled == [style.TOP1, "white", "white"]


@pytest.mark.parametrize(
    ("measure", "label", "tick"),
    [("top-5", "top-5 (percentage points)", "20"), ("log-loss", "log-loss (lower is better)", "0.2")],
)
def test_accuracies_differ_in_percentage_points_and_log_losses_do_not(measure, label, tick):
    plotted = figures.difference_plot([Difference("a", Score(0.2, 0.1, 0.4))], "reference", measure).axes[0]
    assert plotted.get_xlabel() == f"difference in {label}"
    assert plotted.xaxis.get_major_formatter().format_ticks([0.2, 0.4])[0] == tick


def test_segments_stand_at_the_middle_and_at_the_end():
    segments = [Segment(0.1, 0.2, Score(0.4), Score(0.7)), Segment(0.0, 0.1, Score(0.3), Score(0.6))]
    sliding, growing = figures.segment_curves(segments, segments, 0.005, 0.025).axes
    np.testing.assert_allclose(line(sliding, "top-1").get_xydata(), [[0.05, 0.3], [0.15, 0.4]])
    np.testing.assert_allclose(line(growing, "top-5").get_xydata(), [[0.1, 0.6], [0.2, 0.7]])
    assert line(growing, "chance, top-5").get_ydata()[0] == 0.025
    assert len(figures.segment_curves([], segments, 0.005).axes) == 1


def test_repeats_are_on_a_logarithmic_axis_with_bands():
    points = [RepeatPoint(80, Score(0.5, 0.4, 0.6)), RepeatPoint(1, Score(0.1, 0.05, 0.2))]
    axes = figures.repeats_curve(points, 0.005).axes[0]
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "80"]
    assert line(axes, "top-1").get_ydata().tolist() == [0.1, 0.5]
    assert axes.collections[0].get_datalim(axes.transData).ymax == pytest.approx(0.6)


def test_several_trainings_have_their_mean_as_far_as_all_went():
    histories = [
        [{"epoch": epoch, "loss": slope * epoch, "validation_top1": 0.1} for epoch in range(1, end)]
        for slope, end in ((1, 4), (3, 3))
    ]
    loss, top1 = figures.training_curves(histories, best_epochs=[2]).axes
    assert line(loss, "training").get_xydata().tolist() == [[1, 2], [2, 4]]
    assert line(loss, "epoch kept").get_xdata()[0] == 2
    assert line(top1, "validation").get_ydata().tolist() == [0.1, 0.1]


def test_confusion_is_in_parts_of_each_row_with_chance_below():
    found = Confusion(["a", "b"], np.array([[3, 1], [0, 4]]), np.array([1, 3]))
    upper, lower = figures.confusion_matrix(found, "family").axes[:2]
    assert texts(upper) == ["75", "25", "100"]
    assert texts(lower) == ["25", "75"]
    assert [label.get_text() for label in upper.get_yticklabels()] == ["a (4)", "b (4)"]
    many = [str(n) for n in range(MAX_FAMILIES + 1)]
    with pytest.raises(InputError, match="31 families"):
        figures.confusion_matrix(Confusion(many, np.eye(31, dtype=int), np.ones(31, dtype=int)), "family")


def test_the_similarity_matrix_holds_the_scores_and_parts_families():
    scores = SortedScores(np.eye(3), "abc", "abc", 3)
    axes = figures.similarity_matrix(scores, ["x", "x", "y"]).axes[0]
    assert np.array_equal(axes.images[0].get_array(), np.eye(3))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["x", "y"]
    assert axes.get_lines()[0].get_xdata()[0] == 1.5


def test_the_numbers_beside_a_bar_of_small_cosines_do_not_touch():
    scores = SortedScores(np.linspace(-0.12, 0.08, 144).reshape(12, 12), "abcdefghijkl", "abcdefghijkl", 12)
    figure = figures.similarity_matrix(scores)
    style.to_png(figure)  # lays it out
    shown = [label.get_window_extent() for label in figure.axes[1].get_xticklabels() if label.get_text()]
    gaps = [right.x0 - left.x1 for left, right in itertools.pairwise(shown)]
    assert min(gaps) > 3


def test_markers_at_zero_are_shown_whole():
    repeats = figures.repeats_curve([RepeatPoint(1, Score(0.0)), RepeatPoint(80, Score(0.5))], 0.005)
    segments = figures.segment_curves([Segment(0, 0.1, Score(0.0)), Segment(0.1, 0.2, Score(0.4))], [], 0.005)
    for figure in (repeats, segments):
        assert not line(figure.axes[0], "top-1").get_clip_on()


def test_rare_colours_are_those_of_the_figure():
    channels = [*POSTERIOR, "F3", "F4", "C3", "C4"]
    figure = figures.scalp_map(channels, [0.001] * 8 + [-0.003, -0.003, 0.001, -0.0044], "fall")
    style.to_png(figure)  # lays it out, which may take two drawings
    few, all_colours = (
        np.asarray(Image.open(io.BytesIO(style.to_png(figure, photographs=many))).convert("RGB")).astype(int)
        for many in (False, True)
    )
    assert np.abs(few - all_colours).max() < 16


def test_differences_of_filters_are_multiplied_as_the_figure_says():
    assert amplification([filtered(0.01)]) == 32
    assert amplification([filtered(0.0)]) == 1
    figure = figures.filter_figure([filtered(0.01)], ["kite"])
    shown = [axes for axes in figure.axes if axes.images]
    assert shown[2].get_xlabel() == "difference x32"
    np.testing.assert_allclose(shown[2].images[0].get_array(), 0.5 + 0.32)
    hidden = figures.filter_figure([filtered(), filtered()], ["kite", "kite"], tiles=[TILE, TILE])
    assert [axes.get_xlabel() for axes in hidden.axes[:4]] == ["", "", "", "kernel"]
    assert [np.array_equal(axes.images[0].get_array(), TILE) for axes in hidden.axes[:4]] == [True, False, True, False]
    gains = Filtered(np.zeros((4, 4, 3)), np.zeros((4, 4, 3)), np.full((4, 4), 0.5), spectral=True)
    assert figures.filter_figure([gains], ["kite"]).axes[-2].get_xlabel() == "gain"


def test_attention_is_scaled_by_an_even_one_and_leaves_out_what_there_is_not():
    axes = figures.attention_figure([looked(fusion=None)], ["kite"]).axes
    assert [one.get_title(loc="center") for one in axes] == ["", "prompts\n0.4 to 1.6", "class token\n0.4 to 1.6"]
    assert axes[0].get_title(loc="left") == "kite"
    hidden = figures.attention_figure([looked()], ["kite"], tiles=[TILE])
    assert [len(one.images) for one in hidden.axes] == [1, 1, 1, 1]
    assert np.array_equal(hidden.axes[0].images[0].get_array(), TILE)


def test_channels_are_placed_by_name_whatever_their_capitals():
    assert placed_channels(["FP1", "Oz", "MEG 0113"]) == {"FP1": "Fp1", "Oz": "Oz"}
    assert "none of the 2 channels" in why_no_map(["voxel-1", "voxel-2"])
    assert "2 of the 2 channels have a place on the scalp; a map needs 8" in why_no_map(["O1", "O2"])
    assert why_no_map(POSTERIOR) is None
    with pytest.raises(InputError, match="none of the 1 channels"):
        figures.scalp_map(["voxel"], [1.0], "fall")


def test_occipital_electrodes_lie_at_the_back_of_the_head():
    axes = figures.scalp_map(POSTERIOR, np.arange(8) / 8, "fall").axes[0]
    outline = max((line.get_xydata() for line in axes.lines), key=len)
    radius, centre = np.ptp(outline[:, 0]) / 2, (outline.max(axis=0) + outline.min(axis=0)) / 2
    places = {text.get_text(): (np.array(text.get_position()) - centre) / radius for text in axes.texts}
    assert -0.95 < places["Oz"][1] < -0.8
    assert abs(places["Oz"][0]) < 0.02
    assert all(np.linalg.norm(place) < 1 for place in places.values())


def test_the_scalp_map_leaves_out_what_has_no_place_and_is_symmetric_about_zero():
    axes = figures.scalp_map([*POSTERIOR, "EOG"], [*np.full(8, -0.5), 9.0], "fall").axes[0]
    assert (axes.images[0].norm.vmin, axes.images[0].norm.vmax) == (-0.5, 0.5)
    assert "EOG" not in texts(axes)
    assert "Oz" in texts(axes)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: figures.accuracy_bars([Panel("empty", [], 0.1)]),
        lambda: figures.difference_plot([], "x"),
        lambda: figures.segment_curves([], [], 0.1),
        lambda: figures.repeats_curve([], 0.1),
        lambda: figures.repeats_curve([RepeatPoint(0, Score(0.1))], 0.1),
        lambda: figures.training_curves([[]]),
        lambda: figures.filter_figure([], []),
        lambda: figures.attention_figure([looked(fusion=None, prompts=None, prefix=None)], ["x"]),
    ],
)
def test_nothing_to_draw_is_refused(draw):
    with pytest.raises(InputError):
        draw()

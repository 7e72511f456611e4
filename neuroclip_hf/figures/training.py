"""How trainings went, epoch by epoch."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuroclip_hf.errors import InputError
from neuroclip_hf.figures.style import INK, OTHER, TOP1, grid, in_percent, new_figure, styled

History = Sequence[Mapping[str, float]]
"""Entries of training.jsonl, one an epoch: `epoch`, `loss`, perhaps `validation_loss` and `validation_top1`."""


@styled
def training_curves(
    histories: Sequence[History], best_epochs: Sequence[int] = (), chance: float | None = None
) -> Figure:
    """Loss, and top-1 on validation, by epoch; several trainings as thin lines with their mean.

    Args:
        histories (sequence of `History`): one a training.
        best_epochs (sequence of `int`): the epochs that were kept, marked on the axis.
        chance (`float`, *optional*): top-1 of a random ranking of the validation gallery.

    Raises:
        InputError: if there is no epoch.
    """
    histories = [history for history in histories if history]
    if not histories:
        raise InputError("Curves of no training: give a history of an epoch at least.")
    validated = any("validation_top1" in entry for history in histories for entry in history)
    figure = new_figure(0.6 + 2.3 * (1 + validated))
    axes = figure.subplots(1 + validated, 1, squeeze=False, sharex=True)[:, 0]
    _draw(axes[0], histories, "loss", TOP1, "-", "training")
    _draw(axes[0], histories, "validation_loss", OTHER, "--", "validation")
    axes[0].set(title="Loss", ylabel="loss")
    if validated:
        _draw(axes[1], histories, "validation_top1", OTHER, "--", "validation")
        axes[1].set(title="Top-1 on validation", ylabel="found (%)")
        axes[1].set_ylim(bottom=0)
        in_percent(axes[1].yaxis)
        if chance is not None:
            axes[1].axhline(chance, color=INK, linestyle="--", linewidth=1)
    for here in axes:
        for number, epoch in enumerate(sorted(set(best_epochs))):
            here.axvline(epoch, color=INK, linestyle=":", linewidth=1, label=None if number else "epoch kept")
        grid(here)
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _draw(axes: Axes, histories: Sequence[History], name: str, color: str, line: str, label: str) -> None:
    curves = [{int(entry["epoch"]): entry[name] for entry in history if name in entry} for history in histories]
    curves = [curve for curve in curves if curve]
    if not curves:
        return
    if len(curves) > 1:
        for curve in curves:
            axes.plot(list(curve), list(curve.values()), line, color=color, linewidth=0.7, alpha=0.4)
    # Beyond the shortest training the mean would be one of other trainings.
    epochs = [epoch for epoch in curves[0] if all(epoch in curve for curve in curves)]
    means = [sum(curve[epoch] for curve in curves) / len(curves) for epoch in epochs]
    marker = "o" if len(epochs) == 1 else None
    axes.plot(epochs, means, line, color=color, linewidth=1.9, label=label, marker=marker)

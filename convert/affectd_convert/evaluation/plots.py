"""The pictures of an evaluation: confusion matrix and reliability diagram, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd_convert.conversion.layer_errors import LayerError, short_name
from affectd_convert.evaluation.calibration import Reliability, Truth
from affectd_convert.evaluation.metrics import Evaluation
from affectd_convert.evaluation.quantization import SHOWN_LAYERS, VariantFigures


def plot_confusion(evaluation: Evaluation, path: Path) -> None:
    """Draw the confusion matrix, rows as shares of the true label, to a PNG."""
    figure, axes = new_figure()
    totals = np.maximum(evaluation.confusion.sum(axis=1, keepdims=True), 1)
    shares = evaluation.confusion / totals
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(shares.shape):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{shares[row, column]:.0%}", ha="center", va="center", color=colour, fontsize=8)
    ticks = range(len(evaluation.labels))
    axes.set_xticks(ticks, evaluation.labels, rotation=45, ha="right")
    axes.set_yticks(ticks, evaluation.labels)
    axes.set(
        xlabel="predicted", ylabel="true", title=f"{evaluation.samples} samples, accuracy {evaluation.accuracy:.1%}"
    )
    figure.savefig(path, format="png")


def plot_reliability(curves: Mapping[str, NDArray[np.float64]], truth: Truth, path: Path) -> None:
    """Draw accuracy over confidence to a PNG, a curve for each name and its probabilities (n, labels)."""
    figure, axes = new_figure()
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    for name, probabilities in curves.items():
        bins = Reliability.of(probabilities, truth)
        filled = bins.counts > 0
        label = f"{name}: ECE {bins.error:.3f}"
        axes.plot(bins.confidence[filled], bins.accuracy[filled], marker="o", label=label)
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    figure.savefig(path, format="png")


def plot_quantization(figures: Sequence[VariantFigures], layers: Sequence[LayerError], path: Path) -> None:
    """Draw each variant's loss of accuracy (without labels, what differs) and int8's layers to a PNG."""
    figure, (losses, bars) = new_figure(width=11.0, columns=2)
    labelled = all(each.accuracy is not None for each in figures)
    what = "loss of accuracy against the float parent, points, 95 %" if labelled else "first answers that differ, %"
    for place, each in enumerate(figures):
        loss = 100 * (each.loss if labelled else 1 - each.agreement)
        low, high = (100 * value for value in each.loss_interval) if labelled else (loss, loss)
        losses.plot([low, high], [place, place], color=f"C{place}", marker="|")
        losses.plot([loss], [place], color=f"C{place}", marker="o")
    losses.set_yticks(range(len(figures)), [f"{each.kind}, {each.bytes / 1e6:.2f} MB" for each in figures])
    losses.axvline(0, color="grey", linestyle=":")
    losses.set(xlabel=what, ylim=(len(figures) - 0.5, -0.5))
    shown = list(layers[:SHOWN_LAYERS])[::-1]
    bars.barh(range(len(shown)), [100 * layer.added for layer in shown])
    bars.set_yticks(range(len(shown)), [short_name(layer.name) for layer in shown], fontsize=8)
    bars.set(xlabel="error that the layer adds in int8, % of its output's deviation")
    figure.savefig(path, format="png")


def new_figure(width: float = 5.5, columns: int = 1) -> tuple[Any, Any]:
    """Return a figure and its axes, one or `columns` of them side by side."""
    # Without pyplot: no display, no global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, 5), dpi=110, layout="constrained")
    return figure, figure.subplots(1, columns)

"""The pictures of an evaluation: confusion matrix and reliability diagram, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from affectd_convert.calibration import Reliability, Truth
from affectd_convert.evaluate import Evaluation

if TYPE_CHECKING:
    from affectd_convert.fusion.table import Row, WeighedRow


def plot_confusion(evaluation: Evaluation, path: Path) -> None:
    """Draw the confusion matrix, rows as shares of the true label, to a PNG."""
    figure, axes = _figure()
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
    figure, axes = _figure()
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    for name, probabilities in curves.items():
        bins = Reliability.of(probabilities, truth)
        filled = bins.counts > 0
        label = f"{name}: ECE {bins.error:.3f}"
        axes.plot(bins.confidence[filled], bins.accuracy[filled], marker="o", label=label)
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    figure.savefig(path, format="png")


def plot_fusion(rows: Sequence[Row], weights: Sequence[WeighedRow], path: Path) -> None:
    """Draw the weighted average over the voice's weight beside the adaptive pool, and every case, to a PNG."""
    figure, (curves, bars) = _figure(width=11.0, columns=2)
    accuracy = {(row.case, row.strategy): row.accuracy for row in rows}
    for number, case in enumerate(dict.fromkeys(row.case for row in weights)):
        own = [row for row in weights if row.case == case]
        colour = f"C{number}"
        points = [row.voice_weight for row in own], [row.accuracy for row in own]
        curves.plot(*points, marker="o", color=colour, label=f"{case}: weighted average")
        curves.axhline(accuracy[case, "adaptive"], color=colour, linestyle="--", label=f"{case}: adaptive")
    curves.set(xlabel="weight of the voice", ylabel="accuracy", xlim=(0, 1))
    curves.legend(fontsize=7)
    cases = list(dict.fromkeys(row.case for row in rows))[::-1]
    shown = {"face": "C7", "voice": "C8", "adaptive": "C2"}
    for offset, (strategy, colour) in zip((0.27, 0.0, -0.27), shown.items(), strict=True):
        places = [number + offset for number in range(len(cases))]
        bars.barh(places, [accuracy[case, strategy] for case in cases], 0.25, color=colour, label=strategy)
    bars.set_yticks(range(len(cases)), cases, fontsize=8)
    bars.set(xlabel="accuracy", xlim=(0, 1))
    bars.legend(fontsize=7, loc="lower right")
    figure.savefig(path, format="png")


def _figure(width: float = 5.5, columns: int = 1) -> tuple[Any, Any]:
    # Without pyplot: no display, no global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, 5), dpi=110, layout="constrained")
    return figure, figure.subplots(1, columns)

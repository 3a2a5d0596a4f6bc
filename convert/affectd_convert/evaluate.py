"""How good a model is: accuracy, macro-F1, recall, confusion, calibration, and their plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from affectd.inference.model import softmax

FloatArray = NDArray[np.float32]
Truth = NDArray[np.int64]
"""Label numbers (n,)."""

BINS = 15


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What a model scored on one split; shares 0..1, tuples in the order of `labels`."""

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    """(true label, predicted label) counts."""
    ece: float

    @property
    def samples(self) -> int:
        """How many were classified."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Share classified right."""
        return float(np.trace(self.confusion) / self.samples)

    @property
    def precision(self) -> tuple[float, ...]:
        """Of those called so, the share that is; 0 where none was."""
        return _shares(self.confusion.diagonal(), self.confusion.sum(axis=0))

    @property
    def recall(self) -> tuple[float, ...]:
        """Of those that are so, the share called so; 0 where the split has none."""
        return _shares(self.confusion.diagonal(), self.confusion.sum(axis=1))

    @property
    def f1(self) -> tuple[float, ...]:
        """Harmonic mean of precision and recall."""
        return _shares(2 * self.confusion.diagonal(), self.confusion.sum(axis=0) + self.confusion.sum(axis=1))

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the labels that the split has."""
        return self._mean(self.f1)

    @property
    def uar(self) -> float:
        """Unweighted average recall over the labels that the split has."""
        return self._mean(self.recall)

    def to_json(self) -> dict[str, Any]:
        """Give all figures."""
        return {
            "samples": self.samples,
            **{key: round(getattr(self, key), 6) for key in ("accuracy", "macro_f1", "uar", "ece")},
            **{
                key: dict(zip(self.labels, (round(v, 6) for v in getattr(self, key)), strict=True))
                for key in ("precision", "recall", "f1")
            },
            "confusion": self.confusion.tolist(),
        }

    def _mean(self, values: tuple[float, ...]) -> float:
        return float(np.mean(np.asarray(values)[self.confusion.sum(axis=1) > 0]))


def evaluate(logits: FloatArray, truth: Truth, labels: Sequence[str], *, temperature: float = 1.0) -> Evaluation:
    """Score logits (n, labels) against label numbers (n,)."""
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth, logits.argmax(axis=1)), 1)
    return Evaluation(tuple(labels), confusion, calibration_error(softmax(logits, temperature), truth))


def fit_temperature(logits: FloatArray, truth: Truth) -> float:
    """Give the temperature in 0.05..20 of least negative log-likelihood (Guo et al. 2017)."""

    def loss(log_temperature: float) -> float:
        likelihood = softmax(logits, float(np.exp(log_temperature)))[np.arange(len(truth)), truth]
        return float(-np.mean(np.log(likelihood + 1e-12)))

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def calibration_error(probabilities: NDArray[np.float64], truth: Truth) -> float:
    """Give the expected calibration error over 15 bins of equal width (Naeini et al. 2015)."""
    counts, confidence, accuracy = _reliability(probabilities, truth)
    return float(np.sum(counts * np.abs(confidence - accuracy)) / len(truth))


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


def plot_reliability(logits: FloatArray, truth: Truth, temperature: float, path: Path) -> None:
    """Draw accuracy over confidence, before and after temperature scaling, to a PNG."""
    figure, axes = _figure()
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    for label, value in (("as trained", 1.0), (f"temperature {temperature:.2f}", temperature)):
        probabilities = softmax(logits, value)
        counts, confidence, accuracy = _reliability(probabilities, truth)
        error = calibration_error(probabilities, truth)
        axes.plot(confidence[counts > 0], accuracy[counts > 0], marker="o", label=f"{label}: ECE {error:.3f}")
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    figure.savefig(path, format="png")


def _reliability(
    probabilities: NDArray[np.float64], truth: Truth
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Give each bin's count, mean confidence and accuracy (0 where empty)."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    least_one = np.maximum(counts, 1)
    sums = (np.bincount(bins, values, minlength=BINS) for values in (confidence, right))
    mean_confidence, accuracy = (total / least_one for total in sums)
    return counts, mean_confidence, accuracy


def _shares(part: NDArray[np.int64], whole: NDArray[np.int64]) -> tuple[float, ...]:
    return tuple((part / np.maximum(whole, 1)).tolist())


def _figure() -> tuple[Any, Any]:
    # Without pyplot: no display, no global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 5), dpi=110, layout="constrained")
    return figure, figure.subplots()

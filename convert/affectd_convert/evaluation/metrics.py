"""How good a model is: accuracy, macro-F1, recall, confusion and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.inference.model import softmax
from affectd_convert.evaluation.calibration import FloatArray, Probabilities, Truth, calibration_error

SHARES = ("precision", "recall", "f1")
_Z_95 = 1.96
"""Deviations of a normal distribution between which 95 % of it lie."""


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
        """Return all figures; those of a label that the split has not are null."""
        counts = self.confusion.sum(axis=1).tolist()
        per_class = zip(self.labels, self.precision, self.recall, self.f1, counts, strict=True)
        return {
            **{key: round(getattr(self, key), 6) for key in ("accuracy", "macro_f1", "uar", "ece")},
            "n": self.samples,
            "per_class": {
                label: {
                    **{key: round(v, 6) if n else None for key, v in zip(SHARES, shares, strict=True)},
                    "n": n,
                }
                for label, *shares, n in per_class
            },
            "confusion": self.confusion.tolist(),
            "labels": list(self.labels),
        }

    def _mean(self, values: tuple[float, ...]) -> float:
        return float(np.mean(np.asarray(values)[self.confusion.sum(axis=1) > 0]))


def evaluate(
    logits: FloatArray,
    truth: Truth,
    labels: Sequence[str],
    *,
    temperature: float = 1.0,
    probabilities: Probabilities = softmax,
) -> Evaluation:
    """Score logits (n, outputs), which `probabilities` turns to those of `labels`, against label numbers (n,)."""
    answers = probabilities(logits, temperature)
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth, answers.argmax(axis=1)), 1)
    return Evaluation(tuple(labels), confusion, calibration_error(answers, truth))


def wilson_interval(hits: int, samples: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share, 0..1, of which `hits` of `samples` were seen (Wilson 1927)."""
    share, z2 = hits / samples, _Z_95**2 / samples
    half = _Z_95 * sqrt(share * (1 - share) / samples + z2 / (4 * samples))
    low, high = ((share + z2 / 2 + side) / (1 + z2) for side in (-half, half))
    return max(low, 0.0), min(high, 1.0)


def _shares(part: NDArray[np.int64], whole: NDArray[np.int64]) -> tuple[float, ...]:
    return tuple((part / np.maximum(whole, 1)).tolist())

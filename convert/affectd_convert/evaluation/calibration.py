"""Calibration: the temperature, and how far confidence and accuracy lie apart on data it was not fitted on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from affectd.inference.model import softmax
from affectd_convert.errors import DataError

FloatArray = NDArray[np.float32]
Truth = NDArray[np.int64]
"""Label numbers (n,)."""

Probabilities = Callable[[FloatArray, float], NDArray[np.float64]]
"""Logits (n, outputs) of a network and a temperature to probabilities (n, labels)."""

BINS = 15


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Confidence and accuracy in BINS bins of equal width; arrays (BINS,)."""

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    """Mean probability of the first answer, 0 where empty."""
    accuracy: NDArray[np.float64]
    """Share of first answers that are right, 0 where empty."""

    @classmethod
    def of(cls, probabilities: NDArray[np.float64], truth: Truth) -> Reliability:
        """Sort samples with probabilities (n, labels) into the bins of their confidence."""
        confidence = probabilities.max(axis=1)
        right = probabilities.argmax(axis=1) == truth
        bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
        counts = np.bincount(bins, minlength=BINS)
        sums = (np.bincount(bins, values, minlength=BINS) for values in (confidence, right))
        return cls(counts, *(total / np.maximum(counts, 1) for total in sums))

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini et al. 2015), 0..1."""
        gaps = np.abs(self.confidence - self.accuracy)
        return float(np.sum(self.counts * gaps) / self.counts.sum())


def calibration_error(probabilities: NDArray[np.float64], truth: Truth) -> float:
    """Return the expected calibration error of probabilities (n, labels) over 15 bins of equal width."""
    return Reliability.of(probabilities, truth).error


def error_by_chance(probabilities: NDArray[np.float64]) -> float:
    """Return the ECE that a perfectly calibrated model of these probabilities (n, labels) has on average.

    It is above 0, for few samples in a bin are seldom right just as often as is expected. The hits in a bin are a sum
    of independent draws, taken as normal: its mean absolute deviation is sqrt(2 / pi) standard deviations.
    """
    confidence = probabilities.max(axis=1)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    variance = np.bincount(bins, confidence * (1 - confidence))
    return float(np.sqrt(2 / np.pi * np.maximum(variance, 0)).sum() / len(confidence))


@dataclass(frozen=True, slots=True)
class Calibration:
    """A temperature, and what it was fitted on."""

    temperature: float
    fitted_on: str
    """For the card: 'the other folds'."""


def fit_temperature(logits: FloatArray, truth: Truth, probabilities: Probabilities = softmax) -> float:
    """Return the temperature in 0.05..20 whose confidence is the best estimate of being right.

    Of least negative log-likelihood of that yes or no (Le Coz et al. 2024, after Guo et al. 2017): subscribers
    act on the confidence of the first answer, not on the probability of the true one.
    """

    def loss(log_temperature: float) -> float:
        answers = probabilities(logits, float(np.exp(log_temperature)))
        confidence, right = answers.max(axis=1), answers.argmax(axis=1) == truth
        return float(-np.mean(np.log(np.where(right, confidence, 1 - confidence) + 1e-12)))

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def temperature_without(
    group: Any, logits: FloatArray, truth: Truth, groups: NDArray[Any], probabilities: Probabilities = softmax
) -> float:
    """Return the temperature fitted on the samples of all groups but `group`; `groups` (n,) names each sample's."""
    others = groups != group
    return fit_temperature(logits[others], truth[others], probabilities)


def cross_fitted(
    logits: FloatArray, truth: Truth, groups: NDArray[Any], probabilities: Probabilities = softmax
) -> dict[Any, float]:
    """Return each group's temperature, fitted on the samples of all other groups.

    `groups` (n,) names what must stay together, such as a fold of speakers. What is measured with these
    temperatures was not fitted on; the temperature to ship is fitted on all. Raises DataError for one group.
    """
    names = np.unique(groups).tolist()
    if len(names) < 2:
        raise DataError(
            "the calibration error needs held-out samples of two groups or more, such as two folds or two speakers"
        )
    return {name: temperature_without(name, logits, truth, groups, probabilities) for name in names}


def calibrated(
    logits: FloatArray, temperatures: NDArray[np.float64], probabilities: Probabilities = softmax
) -> NDArray[np.float64]:
    """Return probabilities (n, labels) for logits (n, outputs) with a temperature of each sample's own (n,)."""
    return probabilities(np.asarray(logits / temperatures[:, np.newaxis], np.float32), 1.0)


def random_halves(inputs: NDArray[Any], seed: int = 0) -> NDArray[np.int64]:
    """Return each of (n, ...) inputs a group, 0 or 1, at random; exact copies fall in the same one."""
    numbers: dict[bytes, int] = {}
    copies = [numbers.setdefault(hashlib.sha256(sample.tobytes()).digest(), len(numbers)) for sample in inputs]
    return (np.random.default_rng(seed).permutation(len(numbers)) % 2)[copies]

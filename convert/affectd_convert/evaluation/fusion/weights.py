"""Whether learned weights of the log-linear pool beat those that it has: fitted on some people, tried on others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax

from affectd.events import LABELS, fold_calm
from affectd.fusion.strategies import UNIFORM, floored
from affectd_convert.evaluation.calibration import calibration_error
from affectd_convert.evaluation.fusion.readings import Readings, Samples
from affectd_convert.evaluation.fusion.table import CASES, Pairs

N = len(LABELS)
SEED = 1
FITTED_ON = ("both clear", "face blurred", "face dim", "voice in babble", "voice beside a fan")
"""Cases of which the pairs are pooled: the weights must do for all, for the box does not know which it is in."""
LEAST_QUALITY = 1e-2
MOST_STEPS = 25
"""Enough from a start this near; what few pairs would drive to infinity stops there."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Pairs of one case: what each modality predicts, and how good it is."""

    face: Array
    """(n, 7) log of probability over uniform; 0 where nothing is read."""
    voice: Array
    face_quality: Array
    """(n, 1)."""
    voice_quality: Array
    truth: NDArray[np.int64]


Pool = Callable[[Array, Evidence], Array]
"""Logits (n, 7) for weights and evidence."""

POOLS: dict[str, tuple[int, Pool]] = {
    "none learned: both in full": (0, lambda _, e: e.face + e.voice),
    "a weight each": (2, lambda w, e: w[0] * e.face + w[1] * e.voice),
    "and quality, to a power each": (
        4,
        lambda w, e: w[0] * e.face * e.face_quality ** (w[2] - 1) + w[1] * e.voice * e.voice_quality ** (w[3] - 1),
    ),
    "a weight each and emotion": (2 * N, lambda w, e: w[:N] * e.face + w[N:] * e.voice),
}
"""How many weights, all 1 where the search begins (powers of quality less 1: 0 there), and the pool."""


@dataclass(frozen=True, slots=True)
class WeightsRow:
    """One pool on pairs of people that its weights were not fitted on, mean over the cases."""

    pool: str
    accuracy: float
    ece: float
    loss: float
    """Negative log-likelihood."""
    weights: tuple[float, ...]
    """Fitted on all pairs; a power of quality is one more than is applied."""

    def to_json(self) -> dict[str, Any]:
        """Return the row for `evaluate --json`."""
        return asdict(self)


def learned(faces: Samples, voices: Samples, pairs: Pairs) -> list[WeightsRow]:
    """Fit every pool on the pairs of the other folds' voices and the other half of the faces, and score it on these."""
    cases = [_evidence(faces, voices, pairs, name) for name in FITTED_ON]
    fold = voices.group[pairs.voice]
    half = (np.random.default_rng(SEED).permutation(len(faces.truth)) % 2)[pairs.face]
    return [_row(name, cases, fold, half) for name in POOLS]


def _row(name: str, cases: list[Evidence], fold: NDArray[np.int64], half: NDArray[np.int64]) -> WeightsRow:
    size, pool = POOLS[name]
    answers = [np.zeros_like(case.face) for case in cases]
    for of_fold in np.unique(fold):
        for of_half in (0, 1):
            kept = (fold == of_fold) & (half == of_half)
            weights = _fit(pool, size, [_part(case, (fold != of_fold) & (half != of_half)) for case in cases])
            for answer, case in zip(answers, cases, strict=True):
                answer[kept] = softmax(pool(weights, _part(case, kept)), axis=1)
    figures = np.mean([_figures(answer, case.truth) for answer, case in zip(answers, cases, strict=True)], axis=0)
    accuracy, ece, loss = (round(float(figure), 6) for figure in figures)
    weights = _fit(pool, size, cases)
    return WeightsRow(name, accuracy, ece, loss, tuple(round(float(weight), 3) for weight in weights))


def _fit(pool: Pool, size: int, cases: list[Evidence]) -> Array:
    """Return the weights of least negative log-likelihood."""
    if size == 0:
        return np.zeros(0)

    def loss(weights: Array) -> float:
        return float(np.mean([_loss(softmax(pool(weights, case), axis=1), case.truth) for case in cases]))

    return np.asarray(minimize(loss, np.ones(size), method="L-BFGS-B", options={"maxiter": MOST_STEPS}).x)


def _loss(answers: Array, truth: NDArray[np.int64]) -> float:
    return float(-np.mean(np.log(answers[np.arange(len(truth)), truth] + 1e-12)))


def _figures(answers: Array, truth: NDArray[np.int64]) -> tuple[float, float, float]:
    right = float(np.mean(answers.argmax(axis=1) == truth))
    return right, calibration_error(answers, truth), _loss(answers, truth)


def _evidence(faces: Samples, voices: Samples, pairs: Pairs, name: str) -> Evidence:
    case = next(case for case in CASES if case.name == name)
    assert case.face is not None
    assert case.voice is not None
    face, voice = faces.by_condition[case.face], voices.by_condition[case.voice]
    return Evidence(
        _log_odds(face)[pairs.face],
        _log_odds(voice)[pairs.voice],
        np.maximum(face.quality, LEAST_QUALITY)[pairs.face, np.newaxis],
        np.maximum(voice.quality, LEAST_QUALITY)[pairs.voice, np.newaxis],
        voices.truth[pairs.voice],
    )


def _log_odds(readings: Readings) -> Array:
    rows = [np.asarray(fold_calm(tuple(row))) if len(row) > N else row for row in readings.probabilities]
    odds = np.asarray(np.log(np.stack([floored(row) for row in rows]) / UNIFORM))
    odds[readings.quality == 0] = 0.0
    return odds


def _part(case: Evidence, rows: NDArray[np.bool_]) -> Evidence:
    return Evidence(
        case.face[rows], case.voice[rows], case.face_quality[rows], case.voice_quality[rows], case.truth[rows]
    )

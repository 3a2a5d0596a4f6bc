"""What a bundle's variants score on held-out data: predictions to figures, and the temperature to ship."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.inference.model import softmax
from affectd_convert.evaluation.calibration import (
    Calibration,
    FloatArray,
    Probabilities,
    Truth,
    calibrated,
    calibration_error,
    cross_fitted,
    error_by_chance,
    fit_temperature,
    random_halves,
)
from affectd_convert.evaluation.metrics import Evaluation, evaluate


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """A variant's logits for labelled samples or clips."""

    logits: FloatArray
    """(n, outputs)."""
    truth: Truth
    groups: NDArray[Any]
    """(n,) what must stay together when the calibration is cross-fitted."""
    windows: Predictions | None = None
    """Of clips: those of every single window, which are what the daemon answers; else None."""
    probabilities: Probabilities = softmax
    """How the outputs' logits become the labels' probabilities."""

    @classmethod
    def per_clip(
        cls,
        logits: FloatArray,
        truth: Truth,
        groups: NDArray[Any],
        clips: NDArray[np.int64],
        probabilities: Probabilities = softmax,
    ) -> Predictions:
        """Make one prediction of each clip's windows, the mean of their logits; arrays (windows, ...)."""
        _, first, clip = np.unique(clips, return_index=True, return_inverse=True)
        sums = np.zeros((len(first), logits.shape[1]))
        np.add.at(sums, clip, logits)
        means = sums / np.bincount(clip)[:, np.newaxis]
        windows = cls(logits, truth, groups, probabilities=probabilities)
        return cls(means.astype(np.float32), truth[first], groups[first], windows, probabilities)

    @classmethod
    def pooled(cls, parts: Sequence[Predictions]) -> Predictions:
        """Put the predictions of several networks together, each network's a group of its own, numbered from 0."""
        windows = [part.windows for part in parts if part.windows is not None]
        return cls(
            np.concatenate([part.logits for part in parts]),
            np.concatenate([part.truth for part in parts]),
            np.repeat(np.arange(len(parts)), [len(part.truth) for part in parts]),
            cls.pooled(windows) if windows else None,
            parts[0].probabilities,
        )

    def calibration_error(self, temperature_of: Mapping[Any, float]) -> float:
        """Return the ECE when each group has its own temperature."""
        return calibration_error(self.calibrated(temperature_of), self.truth)

    def calibrated(self, temperature_of: Mapping[Any, float]) -> NDArray[np.float64]:
        """Return probabilities (n, labels) when each group has its own temperature."""
        temperatures = np.array([temperature_of[group] for group in self.groups.tolist()])
        return calibrated(self.logits, temperatures, self.probabilities)


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Held-out samples as the network sees them."""

    name: str
    """What the card calls it: 'FER2013 PublicTest'."""
    inputs: FloatArray
    """(n, *input) float32."""
    truth: NDArray[np.int64]
    """(n,) label numbers."""
    clips: NDArray[np.int64] | None = None
    """(n,) which clip each window is of: a clip's windows make one prediction (`clip_logits`); None: each its own."""
    groups: NDArray[Any] | None = None
    """(n,) what must stay together when the calibration is cross-fitted, such as a fold of speakers; None: random
    halves, exact copies together."""
    command: str = ""
    """What measures the bundle on it again, for the card: 'affectd-convert evaluate --model ... --data ...'."""
    probabilities: Probabilities = softmax
    """How the network's logits become the probabilities of the labels that `truth` numbers."""

    @property
    def described(self) -> str:
        """Explain what the inputs are: of clips, the windows."""
        return self.name if self.clips is None else f"every window of {self.name}"

    def predictions(self, logits: FloatArray) -> Predictions:
        """Make a variant's logits (n, outputs) for the inputs into predictions, one for each clip."""
        groups = random_halves(self.inputs) if self.groups is None else self.groups
        if self.clips is None:
            return Predictions(logits, self.truth, groups, probabilities=self.probabilities)
        return Predictions.per_clip(logits, self.truth, groups, self.clips, self.probabilities)


@dataclass(frozen=True, slots=True)
class WindowCalibration:
    """How well the answers to single windows are calibrated, by a temperature fitted on other clips."""

    samples: int
    ece: Mapping[str, float]
    """Kind of variant to its calibration error."""


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """Scores of every variant, the one that stands for the bundle first."""

    split: str
    """What was scored: 'FER2013 PublicTest'."""
    command: str
    """What measures it again, for the card; "": nothing does."""
    temperature: float
    """To ship: fitted on all predictions of the first variant."""
    by_kind: Mapping[str, Evaluation]
    """ECE on data that the temperature was not fitted on."""
    reliability: Mapping[str, NDArray[np.float64]]
    """What the reliability diagram shows of the first variant: a name, and probabilities (n, labels)."""
    truth: Truth
    """(n,) of the reliability's samples."""
    windows: WindowCalibration | None = None
    """Of clips."""
    ece_by_chance: float = 0.0
    """Of the first variant: what a perfectly calibrated model has on so few samples."""

    @property
    def first(self) -> Evaluation:
        """Of the variant that stands for the bundle."""
        return next(iter(self.by_kind.values()))


def measure(
    split: str,
    by_kind: Mapping[str, Predictions],
    labels: Sequence[str],
    *,
    calibration: Calibration | None = None,
    command: str = "",
) -> Report:
    """Score the predictions of each kind of variant, all for the same samples, the first choice first.

    With a `calibration` fitted on other data, its temperature is shipped and measured with. Without one it is
    fitted here on all predictions, and the ECE is cross-fitted: each group's with a temperature fitted on the others.
    Raises DataError when there is one group only.
    """
    first = next(iter(by_kind.values()))
    if calibration is None:
        shipped = fit_temperature(first.logits, first.truth, first.probabilities)
        temperature_of = cross_fitted(first.logits, first.truth, first.groups, first.probabilities)
        name = f"temperature {shipped:.2f}, cross-fitted"
    else:
        shipped = calibration.temperature
        temperature_of = dict.fromkeys(first.groups.tolist(), shipped)
        name = f"temperature {shipped:.2f}"
    evaluations = {
        kind: replace(
            evaluate(one.logits, one.truth, labels, temperature=shipped, probabilities=one.probabilities),
            ece=one.calibration_error(temperature_of),
        )
        for kind, one in by_kind.items()
    }
    answers = first.calibrated(temperature_of)
    return Report(
        split,
        command,
        shipped,
        evaluations,
        {"as trained": first.probabilities(first.logits, 1.0), name: answers},
        first.truth,
        _window_calibration(by_kind, temperature_of),
        error_by_chance(answers),
    )


def _window_calibration(
    by_kind: Mapping[str, Predictions], temperature_of: Mapping[Any, float]
) -> WindowCalibration | None:
    windows = {kind: one.windows for kind, one in by_kind.items() if one.windows is not None}
    if not windows:
        return None
    samples = len(next(iter(windows.values())).truth)
    return WindowCalibration(samples, {kind: one.calibration_error(temperature_of) for kind, one in windows.items()})

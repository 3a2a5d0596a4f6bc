"""Every strategy on label-matched pairs, as the device's own Fuser answers: clear, one missing, poor or wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.events import LABELS, Box, FaceReading, Strategy, TrackedFace, VoiceReading
from affectd.fusion.fuser import Fuser
from affectd.fusion.strategies import STRATEGIES
from affectd_convert.errors import DataError
from affectd_convert.evaluation.calibration import calibration_error
from affectd_convert.evaluation.fusion.readings import CLEAR, FACE_CONDITIONS, VOICE_CONDITIONS, Readings, Samples

SEED = 0
WHOLE_PICTURE = Box(0.0, 0.0, 1.0, 1.0)
VOICE_WEIGHTS = tuple(step / 10 for step in range(11))


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """A face and a voice each; arrays (n,) of row numbers."""

    face: NDArray[np.int64]
    voice: NDArray[np.int64]
    other_face: NDArray[np.int64]
    """A face of another label than the voice's, for the cases in which one of the two is wrong."""

    @classmethod
    def drawn(cls, faces: Samples, voices: Samples, a_voice: int) -> Pairs:
        """Draw `a_voice` faces of its label, and as many of another, for every voice; the same data gives the same.

        Raises DataError when a label of the voices has too few faces.
        """
        rng = np.random.default_rng(SEED)
        rows = {label: np.flatnonzero(faces.truth == label) for label in np.unique(voices.truth)}
        for label, found in rows.items():
            if len(found) < a_voice:
                raise DataError(f"--faces: {len(found)} of {LABELS[label]}; {a_voice} a voice are asked for")
        own = [rng.choice(rows[label], a_voice, replace=False) for label in voices.truth]
        others = [rng.choice(np.flatnonzero(faces.truth != label), a_voice, replace=False) for label in voices.truth]
        return cls(np.concatenate(own), np.repeat(np.arange(len(voices.truth)), a_voice), np.concatenate(others))


@dataclass(frozen=True, slots=True)
class Case:
    """What face and voice are like."""

    name: str
    face: str | None
    """Condition of the face; None: there is none."""
    voice: str | None
    wrong: str = ""
    """'face' or 'voice': that one is of another label than the truth."""


CASES = (
    Case("both clear", CLEAR, CLEAR),
    Case("no voice", CLEAR, None),
    Case("no face", None, CLEAR),
    *(Case(f"face {name}", name, CLEAR) for name in FACE_CONDITIONS),
    *(Case(f"voice {name}", CLEAR, name) for name in VOICE_CONDITIONS),
    Case("face blurred, voice in babble", "blurred", "in babble"),
    Case("wrong face", CLEAR, CLEAR, wrong="face"),
    Case("wrong voice", CLEAR, CLEAR, wrong="voice"),
)
WEIGHED = ("both clear", "face blurred", "voice in babble")
"""The cases that are shown at every weight of the weighted average."""


@dataclass(frozen=True, slots=True)
class Row:
    """One strategy in one case; shares 0..1."""

    case: str
    strategy: str
    accuracy: float
    """Of all pairs; a pair of which nothing can be read is not right."""
    uar: float
    ece: float
    """Of the pairs of which something is read; 0 where there is none."""
    named: float
    """Share for which an emotion would be named: something is read, and the strategy does not withhold it."""

    def to_json(self) -> dict[str, Any]:
        """Return the row for `evaluate --json`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class WeighedRow:
    """The weighted average at one weight of the voice."""

    case: str
    voice_weight: float
    accuracy: float
    ece: float

    def to_json(self) -> dict[str, Any]:
        """Return the row for `evaluate --json`."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class FusedPairs:
    """What is fused of each pair."""

    probabilities: NDArray[np.float64]
    """(n, 7)."""
    read: NDArray[np.bool_]
    """(n,) whether a modality that the strategy listens to spoke."""
    named: NDArray[np.bool_]


MakeFuser = Callable[[Strategy, float], Fuser]
"""A new fuser of the daemon's for a strategy and a weight of the face in `weighted_average`."""


def table(faces: Samples, voices: Samples, pairs: Pairs, make: MakeFuser, face_weight: float) -> list[Row]:
    """Score every strategy in every case."""
    return [
        _row(case, strategy, fused(faces, voices, pairs, case, lambda: make(strategy, face_weight)), truth)  # noqa: B023
        for case in CASES
        for truth in [_truth(faces, voices, pairs, case)]
        for strategy in STRATEGIES
    ]


def weighed(faces: Samples, voices: Samples, pairs: Pairs, make: MakeFuser) -> list[WeighedRow]:
    """Score the weighted average at the weights 0 to 1 of the voice."""
    rows = []
    for case in (case for case in CASES if case.name in WEIGHED):
        truth = _truth(faces, voices, pairs, case)
        for weight in VOICE_WEIGHTS:
            answers = fused(faces, voices, pairs, case, lambda: make("weighted_average", 1.0 - weight))  # noqa: B023
            row = _row(case, "weighted_average", answers, truth)
            rows.append(WeighedRow(case.name, weight, row.accuracy, row.ece))
    return rows


def fused(faces: Samples, voices: Samples, pairs: Pairs, case: Case, make: Callable[[], Fuser]) -> FusedPairs:
    """Let a new fuser answer each pair: the state after its first step."""
    face_rows = pairs.other_face if case.wrong else pairs.face
    states = []
    for face, voice in zip(face_rows.tolist(), pairs.voice.tolist(), strict=True):
        fuser = make()
        if case.face is not None:
            fuser.update_face(_face_reading(faces.by_condition[case.face], face))
        if case.voice is not None:
            fuser.update_voice(_voice_reading(voices.by_condition[case.voice], voice))
        states.append(fuser.step(0.0).state)
    # What was read of nothing is uniform to the bit; what is tempered never is.
    read = np.array([max(state.probabilities) > min(state.probabilities) for state in states])
    withheld = np.array([state.reason == "disagree" for state in states])
    return FusedPairs(np.array([state.probabilities for state in states]), read, read & ~withheld)


def _truth(faces: Samples, voices: Samples, pairs: Pairs, case: Case) -> NDArray[np.int64]:
    return faces.truth[pairs.other_face] if case.wrong == "voice" else voices.truth[pairs.voice]


def _face_reading(readings: Readings, row: int) -> FaceReading:
    values = tuple(readings.probabilities[row].tolist())
    return FaceReading(0.0, (TrackedFace(1, WHOLE_PICTURE, float(readings.quality[row]), values),))


def _voice_reading(readings: Readings, row: int) -> VoiceReading:
    quality = float(readings.quality[row])
    values = tuple(readings.probabilities[row].tolist())
    return VoiceReading(0.0, quality > 0, None, quality, values if quality > 0 else None)


def _row(case: Case, strategy: Strategy, answers: FusedPairs, truth: NDArray[np.int64]) -> Row:
    right = answers.read & (answers.probabilities.argmax(axis=1) == truth)
    recalls = [right[truth == label].mean() for label in np.unique(truth)]
    read = answers.read
    ece = calibration_error(answers.probabilities[read], truth[read]) if read.any() else 0.0
    figures = (right.mean(), np.mean(recalls), ece, answers.named.mean())
    return Row(case.name, strategy, *(round(float(figure), 6) for figure in figures))

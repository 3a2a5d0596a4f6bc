"""The robustness table: accuracy and recall of one variant in every condition, the clean figure first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from affectd.face.preprocess import FacePreprocessing
from affectd.resample import SAMPLE_RATE
from affectd.voice.features import VoiceFeatures
from affectd_convert.datasets.labelled import Clips, Faces
from affectd_convert.errors import DataError
from affectd_convert.evaluation.calibration import FloatArray, Truth
from affectd_convert.evaluation.metrics import evaluate
from affectd_convert.evaluation.predict import Run, logits_of_clips, logits_of_faces
from affectd_convert.evaluation.robustness import faces, voices

SEED = 0
CLEAN = "clean"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One condition; shares 0..1."""

    condition: str
    accuracy: float
    uar: float


@dataclass(frozen=True, slots=True)
class Robustness:
    """What one variant scored in adverse conditions."""

    split: str
    """On what: 'FER2013 PublicTest'."""
    samples: int
    variant: str
    rows: tuple[Row, ...]
    """The clean one first."""
    command: str = ""
    """What measures it again."""

    def to_json(self) -> dict[str, Any]:
        """Return what stands in a bundle's robustness.json."""
        return asdict(self)


def face_rows(
    run: Run, preprocessing: FacePreprocessing, data: Faces, *, report: Progress = lambda _: None
) -> tuple[Row, ...]:
    """Score faces in every condition; the same faces make the same rows. `report` is told of each row."""
    rows = [_row(CLEAN, logits_of_faces(run, preprocessing, data.pixels), data.truth, report)]
    for number, (name, condition) in enumerate(faces.conditions().items()):
        rng = np.random.default_rng((SEED, number))
        worse = [condition(crop, rng) for crop in data.pixels]
        rows.append(_row(name, logits_of_faces(run, preprocessing, worse), data.truth, report))
    return tuple(rows)


def voice_rows(run: Run, features: VoiceFeatures, data: Clips, *, report: Progress = lambda _: None) -> tuple[Row, ...]:
    """Score clips in every condition; the same clips make the same rows. `report` is told of each row.

    Babble is made of the other speakers' clips. Raises DataError when there is one speaker only.
    """
    if len(set(data.speakers)) < 2:
        raise DataError("babble needs clips of two speakers or more; name them in a column `speaker` of the index")
    others = {
        speaker: [samples for samples, name in zip(data.samples, data.speakers, strict=True) if name != speaker]
        for speaker in set(data.speakers)
    }
    around = [voices.Surroundings(SAMPLE_RATE, others[speaker]) for speaker in data.speakers]
    rows = [_row(CLEAN, logits_of_clips(run, features, data.samples), data.truth, report)]
    for number, (name, condition) in enumerate(voices.conditions().items()):
        rng = np.random.default_rng((SEED, number))
        worse = (
            voices.worsened(samples, condition, place, rng) for samples, place in zip(data.samples, around, strict=True)
        )
        rows.append(_row(name, logits_of_clips(run, features, worse), data.truth, report))
    return tuple(rows)


def mean_rows(tables: Sequence[Sequence[Row]]) -> tuple[Row, ...]:
    """Return each condition's mean over several tables of the same conditions."""
    return tuple(
        Row(
            same[0].condition,
            round(float(np.mean([row.accuracy for row in same])), 6),
            round(float(np.mean([row.uar for row in same])), 6),
        )
        for same in zip(*tables, strict=True)
    )


def _row(condition: str, logits: FloatArray, truth: Truth, report: Progress) -> Row:
    result = evaluate(logits, truth, [str(label) for label in range(logits.shape[1])])
    row = Row(condition, round(result.accuracy, 6), round(result.uar, 6))
    report(f"{condition}: accuracy {row.accuracy:.4f}, UAR {row.uar:.4f}")
    return row

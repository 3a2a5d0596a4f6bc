"""What a reading is worth as an opinion: its probabilities by their quality, and its modality's skill."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from affectd.errors import ModelError
from affectd.events import LABELS, Probabilities
from affectd.fusion.strategies import UNIFORM, Opinion, Vector, tempered

LEAST_SKILL = 0.01
"""A class never told right on held-out data still counts when nothing else speaks."""


def checked_skill(modality: str, values: Sequence[float]) -> Vector:
    """Return a modality's skill per class, none of it 0. Raises ModelError when it is not 7 numbers in 0..1."""
    skill = np.asarray(values, dtype=np.float64)
    if skill.shape != (len(LABELS),) or not np.all((skill >= 0) & (skill <= 1)):
        raise ModelError(
            f"the {modality} model's skill per class is {list(values)}: {len(LABELS)} numbers in 0..1 are needed, "
            f"in the order {' '.join(LABELS)}; write the bundle again with affectd-convert"
        )
    return np.maximum(skill, LEAST_SKILL)


def tempered_opinion(
    values: Probabilities, quality: float, *, weight: float, skill: Vector, share: float, captured_at: float
) -> Opinion:
    """Make an opinion; without quality, or where it is no distribution (a runtime that answers NaN), it is missing."""
    probabilities = np.asarray(values, dtype=np.float64)
    total = probabilities.sum()
    if not (quality > 0 and np.isfinite(total) and total > 0 and probabilities.min() >= 0):
        return Opinion(UNIFORM, 0.0, skill, share, captured_at)
    return Opinion(tempered(probabilities / total, quality), weight, skill, share, captured_at)

"""What a reading is worth as an opinion: its probabilities by their quality, and its modality's skill."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from affectd.errors import ModelError
from affectd.events import LABELS, Probabilities
from affectd.fusion.strategies import UNIFORM, Opinion, Vector, tempered

LEAST_SKILL = 0.01
"""A class never recognized on held-out data still counts when nothing else speaks."""


Skill = Sequence[float | None]
"""How well a modality recognizes each of LABELS, 0..1; None: its model does not know that label."""


def checked_skill(modality: str, values: Skill) -> Vector:
    """Return a modality's skill per class, 0 only for a label that it does not know.

    Raises ModelError when it is not 7 numbers in 0..1 or None.
    """
    known = np.array([value is not None for value in values])
    skill = np.array([value or 0.0 for value in values], dtype=np.float64)
    if skill.shape != (len(LABELS),) or not known.any() or not np.all((skill >= 0) & (skill <= 1)):
        raise ModelError(
            f"the {modality} model's skill per class is {list(values)}: {len(LABELS)} numbers in 0..1 are needed, "
            f"in the order {' '.join(LABELS)}; write the bundle again with affectd-convert"
        )
    return np.where(known, np.maximum(skill, LEAST_SKILL), 0.0)


def tempered_opinion(
    values: Probabilities, quality: float, *, weight: float, skill: Vector, share: float, captured_at: float
) -> Opinion:
    """Make an opinion of (7,) values, on the labels of which there is a skill.

    Without quality, or where it is no distribution (a runtime that answers NaN), it is missing.
    """
    known, probabilities = skill > 0, np.zeros(len(LABELS))
    known_values = np.asarray(values, dtype=np.float64)[known]
    total = known_values.sum()
    if not (quality > 0 and np.isfinite(total) and total > 0 and known_values.min() >= 0):
        return Opinion(UNIFORM, 0.0, skill, share, captured_at)
    probabilities[known] = tempered(known_values / total, quality)
    return Opinion(probabilities, weight, skill, share, captured_at)

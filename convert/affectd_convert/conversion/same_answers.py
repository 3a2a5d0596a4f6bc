"""Whether a copy of a Keras model, made for conversion, answers as the model does."""

from __future__ import annotations

from typing import Any

import numpy as np

TOLERANCE = 1e-4
"""Of a copy's outputs, as a share of the largest where that is above 1."""


def difference(copy: Any, model: Any, input_shape: tuple[int, ...]) -> float:
    """Return by how much two models of inputs (1, *input_shape) differ at most, to be held against TOLERANCE."""
    x = np.random.default_rng(0).standard_normal((4, 1, *input_shape)).astype(np.float32)
    # As they answer, not as they train: layers that augment or drop are not for the box.
    pairs = [[np.asarray(one(each, training=False)) for one in (copy, model)] for each in x]
    return max(float(np.abs(ours - theirs).max()) / max(1.0, float(np.abs(theirs).max())) for ours, theirs in pairs)

"""Mixup (Zhang et al. 2018): every sample of a batch blended with another of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def mixed(
    inputs: FloatArray, targets: FloatArray, alpha: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Blend inputs (n, ...) and targets (n, labels) alike, by shares drawn from Beta(alpha, alpha); 0: not at all."""
    if alpha <= 0:
        return inputs, targets
    others = rng.permutation(len(inputs))
    share = rng.beta(alpha, alpha, len(inputs)).astype(np.float32)
    of_input = share.reshape(-1, *[1] * (inputs.ndim - 1))
    of_target = share[:, np.newaxis]
    return (
        of_input * inputs + (1 - of_input) * inputs[others],
        of_target * targets + (1 - of_target) * targets[others],
    )

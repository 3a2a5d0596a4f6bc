"""The papers' face protocols: two small networks on FER2013's 48x48 crops, prepared as the papers prepare them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd_convert.architectures import dargula_cnn, das_cnn
from affectd_convert.datasets.fer2013 import PUBLIC_TEST, TRAINING, FaceSet
from affectd_convert.papers.fitting import SEED, Recipe
from affectd_convert.papers.splits import Split, at_random


@dataclass(frozen=True)
class FaceProtocol:
    """One paper's face experiment."""

    name: str
    network: Callable[[int], Any]
    """Number of labels to a Keras network over (48, 48, 1), grey levels 0..1."""
    recipe: Recipe
    splits: tuple[str, ...]
    """Names in SPLITS."""


SPLITS: dict[str, Callable[[FaceSet], Split]] = {
    "random 70/15/15": lambda faces: at_random(len(faces.label), train=0.70, test=0.15, seed=SEED),
    "official": lambda faces: Split(
        np.flatnonzero(faces.usage == TRAINING), np.flatnonzero(faces.usage == PUBLIC_TEST)
    ),
}
PROTOCOLS = (
    FaceProtocol("dargula-face-cnn", dargula_cnn.build, Recipe(epochs=5), ("random 70/15/15", "official")),
    FaceProtocol("das-face-cnn", das_cnn.build, Recipe(epochs=3), ("official",)),
)


def network_inputs(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bring faces (n, 48, 48) to (n, 48, 48, 1) float32 in 0..1."""
    return (pixels.astype(np.float32) / 255.0)[..., np.newaxis]

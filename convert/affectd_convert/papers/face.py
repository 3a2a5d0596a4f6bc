"""The papers' face protocols: two small networks on FER2013's 48x48 crops, prepared as the papers prepare them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def das_cnn(labels: int) -> Any:
    """Build Das & Khokher's CNN: 64 3x3, 128 5x5, 512 3x3, 512 3x3, Dense 256 and 512."""
    return _network(((64, 3), (128, 5), (512, 3), (512, 3)), (256, 512), labels)


def dargula_cnn(labels: int) -> Any:
    """Build Dargula et al.'s CNN: 64, 128, 256 channels of 3x3; the Dense 256 is our guess."""
    return _network(((64, 3), (128, 3), (256, 3)), (256,), labels)


def _network(blocks: tuple[tuple[int, int], ...], dense: tuple[int, ...], labels: int) -> Any:
    import keras
    from keras import layers

    x = face = keras.Input((48, 48, 1))
    for channels, side in blocks:
        x = layers.Conv2D(channels, side, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Dropout(0.25)(layers.MaxPooling2D(2)(x))
    x = layers.Flatten()(x)
    for units in dense:
        x = layers.Dense(units, use_bias=False)(x)
        x = layers.Dropout(0.25)(layers.ReLU()(layers.BatchNormalization()(x)))
    return keras.Model(face, layers.Dense(labels)(x))


SPLITS: dict[str, Callable[[FaceSet], Split]] = {
    "random 70/15/15": lambda faces: at_random(len(faces.label), train=0.70, test=0.15, seed=SEED),
    "official": lambda faces: Split(
        np.flatnonzero(faces.usage == TRAINING), np.flatnonzero(faces.usage == PUBLIC_TEST)
    ),
}
PROTOCOLS = (
    FaceProtocol("dargula-face-cnn", dargula_cnn, Recipe(epochs=5), ("random 70/15/15", "official")),
    FaceProtocol("das-face-cnn", das_cnn, Recipe(epochs=3), ("official",)),
)


def network_inputs(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bring faces (n, 48, 48) to (n, 48, 48, 1) float32 in 0..1."""
    return (pixels.astype(np.float32) / 255.0)[..., np.newaxis]

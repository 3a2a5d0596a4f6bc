"""Blocks of convolution, batch norm, ReLU and pooling, then dense layers: the plain CNN of three of the papers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

DROPOUT = 0.25
Blocks = Sequence[tuple[int, int]]
"""(channels, side) of each convolution."""


def stack(name: str, blocks: Blocks, dense: Sequence[int], labels: int, *, size: int = 48) -> Any:
    """Return a Keras model, (batch, size, size, 1) float32 to (batch, labels) float32 logits.

    Each convolution is halved in size behind it; `dense` are the units of hidden layers.
    """
    import keras
    from keras import layers

    x = face = keras.Input((size, size, 1), name="face")
    for channels, side in blocks:
        x = layers.Conv2D(channels, side, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Dropout(DROPOUT)(layers.MaxPooling2D(2)(x))
    x = layers.Flatten()(x)
    for units in dense:
        x = layers.Dense(units, use_bias=False)(x)
        x = layers.Dropout(DROPOUT)(layers.ReLU()(layers.BatchNormalization()(x)))
    return keras.Model(face, layers.Dense(labels, name="logits")(x), name=name)

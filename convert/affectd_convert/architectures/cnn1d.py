"""Khachatryan & Tovmasyan's 1-D CNN, 512-512-256-256-128 and Dense 512, over steps of 60 ms."""

from __future__ import annotations

from typing import Any

BLOCKS = ((512, 5), (512, 5), (256, 5), (256, 3), (128, 3))
"""(channels, width) of each block's convolution."""
STEP = 6
"""Frames of 10 ms that are averaged first: the paper's frames are longer than ours."""


def build(labels: int, *, frames: int, columns: int, dropout: float = 0.2) -> Any:
    """Return a Keras model, (batch, frames, columns) float32 to (batch, labels) float32 logits."""
    import keras
    from keras import layers

    window = keras.Input((frames, columns), name="speech")
    x = layers.AveragePooling1D(STEP)(window)
    for channels, width in BLOCKS:
        x = layers.Conv1D(channels, width, padding="same", activation="relu")(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling1D(5, strides=2, padding="same")(x)
        x = layers.Dropout(dropout)(x)
    x = layers.Dense(512, activation="relu")(layers.Flatten()(x))
    return keras.Model(window, layers.Dense(labels, name="logits")(layers.BatchNormalization()(x)), name="cnn1d")

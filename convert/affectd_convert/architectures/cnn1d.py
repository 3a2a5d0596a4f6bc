"""Khachatryan & Tovmasyan's 1-D CNN, 512-512-256-256-128 and Dense 512, over the values of a window in one row.

The paper strings a clip's 22 features of 108 frames together, 2,376 values, and has 7.19 million parameters. A window
here is averaged over tenths of a second first: 30 times 83 values.
"""

from __future__ import annotations

from typing import Any

BLOCKS = ((512, 5), (512, 5), (256, 5), (256, 3), (128, 3))
"""(channels, width) of each block's convolution."""
DENSE = 512
STEP = 10
"""Frames of 10 ms that are averaged."""


def build(
    labels: int,
    *,
    frames: int,
    columns: int,
    step: int = STEP,
    blocks: tuple[tuple[int, int], ...] = BLOCKS,
    dropout: float = 0.2,
) -> Any:
    """Return a Keras model, (batch, frames, columns) float32 to (batch, labels) float32 logits."""
    import keras
    from keras import layers

    window = keras.Input((frames, columns), name="speech")
    x = layers.Reshape((-1, 1))(layers.AveragePooling1D(step)(window))
    for channels, width in blocks:
        x = layers.Conv1D(channels, width, padding="same", activation="relu")(x)
        x = layers.BatchNormalization(momentum=0.95)(x)
        x = layers.MaxPooling1D(5, strides=2, padding="same")(x)
        x = layers.Dropout(dropout)(x)
    x = layers.Dense(DENSE, activation="relu")(layers.Flatten()(x))
    x = layers.BatchNormalization(momentum=0.95)(x)
    return keras.Model(window, layers.Dense(labels, name="logits")(x), name="cnn1d")

"""Das & Khokher's LSTM of four layers, which the paper calls poor; it gives no width, ours is 64."""

from __future__ import annotations

from typing import Any

LAYERS, UNITS = 4, 64


def build(labels: int, *, frames: int, columns: int, dropout: float = 0.2) -> Any:
    """Return a Keras model, (batch, frames, columns) float32 to (batch, labels) float32 logits."""
    import keras
    from keras import layers

    x = window = keras.Input((frames, columns), name="speech")
    for layer in range(1, LAYERS + 1):
        x = layers.LSTM(UNITS, return_sequences=layer < LAYERS)(x)
        x = layers.Dropout(dropout)(x)
    return keras.Model(window, layers.Dense(labels, name="logits")(x), name="lstm")

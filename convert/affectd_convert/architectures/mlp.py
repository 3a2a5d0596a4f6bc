"""Das & Khokher's multilayer perceptron: one hidden layer of 300 over a clip's summary."""

from __future__ import annotations

from typing import Any

UNITS = 300


def build(labels: int, *, columns: int) -> Any:
    """Return a Keras model, (batch, columns) float32, a clip's means, to (batch, labels) float32 logits."""
    import keras
    from keras import layers

    summary = keras.Input((columns,), name="speech")
    x = layers.Dense(UNITS, activation="relu")(summary)
    return keras.Model(summary, layers.Dense(labels, name="logits")(x), name="mlp")

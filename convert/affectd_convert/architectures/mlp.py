"""Das & Khokher's multilayer perceptron: one hidden layer of 300 over the means and mean squares of a window."""

from __future__ import annotations

from typing import Any

UNITS = 300


def build(labels: int, *, frames: int, columns: int) -> Any:
    """Return a Keras model, windows (batch, frames, columns) float32 to (batch, labels) float32 logits."""
    import keras
    from keras import layers

    window = keras.Input((frames, columns), name="speech")
    mean = layers.GlobalAveragePooling1D()(window)
    square = layers.GlobalAveragePooling1D()(layers.Multiply()([window, window]))
    return keras.Model(
        window, over_summary(labels, columns=2 * columns)(layers.Concatenate()([mean, square])), name="mlp"
    )


def over_summary(labels: int, *, columns: int) -> Any:
    """Return a Keras model, summaries (batch, columns) float32 to (batch, labels) float32 logits."""
    import keras
    from keras import layers

    summary = keras.Input((columns,), name="summary")
    x = layers.Dense(UNITS, activation="relu")(summary)
    return keras.Model(summary, layers.Dense(labels, name="logits")(x), name="perceptron")

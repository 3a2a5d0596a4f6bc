"""Dargula et al.'s voice networks: the same convolutions, and behind them a mean, an LSTM or two, a GRU or attention.

The paper gives the layers' kinds and no widths; ours are small: 64, 128 and 256 channels, 128 units. Batch norm stands
behind the ReLU: in front of it the CNN hears less (convert/PAPERS.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CHANNELS = (64, 128, 256)
UNITS = 128


def build(name: str, over_time: Callable[[Any], Any], labels: int, *, frames: int, columns: int) -> Any:
    """Return a Keras model, (batch, frames, columns) float32 to (batch, labels) float32 logits.

    `over_time` makes one vector (batch, units) of the convolutions' steps (batch, frames / 8, 256).
    """
    import keras
    from keras import layers

    x = window = keras.Input((frames, columns), name="speech")
    for count in CHANNELS:
        x = layers.Conv1D(count, 5, padding="same", activation="relu")(x)
        x = layers.BatchNormalization(momentum=0.95)(x)
        x = layers.MaxPooling1D(2)(x)
        x = layers.Dropout(0.2)(x)
    x = layers.Dense(UNITS, activation="relu")(over_time(x))
    return keras.Model(window, layers.Dense(labels, name="logits")(layers.Dropout(0.3)(x)), name=name)

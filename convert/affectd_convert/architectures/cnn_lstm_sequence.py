"""Gandhi & Patil's CNN-LSTM over image sequences: a CNN for each frame of a face, an LSTM over the frames' features.

The paper gives no sizes; ours are blocks of 16 (5x5, every other pixel), 32 and 64 channels (3x3), Dense 128, and an
LSTM of 96 units over eight frames, 0.7 s at the daemon's step. FER2013 has stills only: what is learnt on it are
sequences of one still in drifting, trembling views, in which no expression comes or goes.
"""

from __future__ import annotations

from typing import Any

FRAMES = 8
FIRST, WIDTHS = 16, (32, 64)
"""Channels of the blocks, each of which halves the picture."""
DENSE, UNITS = 128, 96
DROPOUT = 0.25


def build(labels: int, *, size: int = 48) -> Any:
    """Return a Keras model, (batch, FRAMES, size, size, 1) float32, oldest first, to (batch, labels) float32 logits."""
    import keras
    from keras import layers

    def normalized(x: Any) -> Any:
        return layers.ReLU()(layers.BatchNormalization(momentum=0.95, epsilon=1e-5)(x))

    faces = keras.Input((FRAMES, size, size, 1), name="faces")
    # All frames as one batch: TimeDistributed would be the same operations once for each frame.
    x = keras.ops.reshape(faces, (-1, size, size, 1))
    x = normalized(layers.Conv2D(FIRST, 5, strides=2, padding="same", use_bias=False)(x))
    for channels in WIDTHS:
        x = normalized(layers.Conv2D(channels, 3, padding="same", use_bias=False)(x))
        x = layers.Dropout(DROPOUT)(layers.MaxPooling2D(2)(x))
    x = normalized(layers.Dense(DENSE, use_bias=False)(layers.Flatten()(x)))
    x = layers.LSTM(UNITS, name="lstm")(keras.ops.reshape(x, (-1, FRAMES, DENSE)))
    logits = layers.Dense(labels, dtype="float32", name="logits")(layers.Dropout(DROPOUT)(x))
    return keras.Model(faces, logits, name="cnn_lstm_sequence")

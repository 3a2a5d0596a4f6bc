"""A small CNN for each picture and an LSTM over a face's last pictures, after Gandhi & Patil's CNN-LSTM for sequences.

The paper gives neither widths nor the length of the sequence; ours are the simple CNN's, and eight pictures.
"""

from __future__ import annotations

from typing import Any

CHANNELS = (32, 64, 128)
UNITS = 96
FRAMES = 8


def build(labels: int, *, frames: int = FRAMES, size: int = 48, dropout: float = 0.3) -> Any:
    """Return a Keras model, (batch, frames, size, size, 1) float32, the newest last, to (batch, labels) logits."""
    import keras
    from keras import layers

    faces = keras.Input((frames, size, size, 1), name="faces")
    x = faces
    for channels in CHANNELS:
        x = layers.TimeDistributed(layers.Conv2D(channels, 3, padding="same", use_bias=False))(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.TimeDistributed(layers.MaxPooling2D(2))(x)
    x = layers.TimeDistributed(layers.GlobalAveragePooling2D())(x)
    x = layers.Dropout(dropout)(layers.LSTM(UNITS)(x))
    return keras.Model(faces, layers.Dense(labels, name="logits")(x), name="cnn_lstm_sequence")

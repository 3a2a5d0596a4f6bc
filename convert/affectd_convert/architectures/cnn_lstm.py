"""CNN-LSTM for speech features: Conv1D blocks that shorten time eightfold, an LSTM each way, means over time, Dense.

After Gandhi & Patil and Wani et al., whose voice model is a CNN-LSTM over MFCC, pitch and energy.
"""

from __future__ import annotations

from typing import Any

CHANNELS = (96, 128, 128)


def build(labels: int, *, frames: int = 300, columns: int = 83, units: int = 80, dropout: float = 0.3) -> Any:
    """Return a Keras model, (batch, frames, columns) float32 to (batch, labels) float32 logits."""
    import keras
    from keras import layers

    x = window = keras.Input((frames, columns), name="speech")
    for block, channels in enumerate(CHANNELS, start=1):
        x = layers.Conv1D(
            channels, 5, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"conv{block}"
        )(x)
        x = layers.BatchNormalization(momentum=0.95, epsilon=1e-5, name=f"conv{block}_bn")(x)
        x = layers.ReLU(name=f"conv{block}_relu")(x)
        x = layers.MaxPooling1D(2, name=f"conv{block}_pool")(x)
        x = layers.Dropout(dropout, name=f"conv{block}_dropout")(x)
    ways = []
    for name, backwards in (("lstm", False), ("lstm_back", True)):
        steps = layers.LSTM(units, return_sequences=True, go_backwards=backwards, name=name)(x)
        ways.append(layers.GlobalAveragePooling1D(name=f"{name}_pool")(steps))
    x = layers.Concatenate(name="pool")(ways)
    x = layers.Dropout(dropout, name="lstm_dropout")(x)
    logits = layers.Dense(labels, dtype="float32", name="logits")(x)
    return keras.Model(window, logits, name="cnn_lstm")

"""EfficientNet-B7 for 224x224 colour faces (Tan & Le 2019), with the head of Khachatryan & Tovmasyan.

Batch norm, Dense 256 with L1 and L2 (the paper gives no strengths, these are ours), dropout 0.45. It has 64 million
parameters: an architecture to hold others against, for no small box.
"""

from __future__ import annotations

from typing import Any

L1, L2 = 1e-4, 1e-4
DROPOUT = 0.45


def build(labels: int, *, size: int = 224) -> Any:
    """Return a Keras model, (batch, size, size, 3) float32 in 0..255 to (batch, labels) float32 logits."""
    import keras
    from keras import layers, regularizers

    face = keras.Input((size, size, 3), name="face")
    x = keras.applications.EfficientNetB7(include_top=False, weights=None, input_tensor=face, pooling="max").output
    x = layers.BatchNormalization()(x)
    x = layers.Dense(256, activation="relu", kernel_regularizer=regularizers.L1L2(L1, L2))(x)
    return keras.Model(face, layers.Dense(labels, name="logits")(layers.Dropout(DROPOUT)(x)), name="efficientnet_b7")

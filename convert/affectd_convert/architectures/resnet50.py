"""ResNet-50 for 48x48 faces, grey repeated in three channels (He et al. 2015), with pooling and Dense as Dargula et al.

The paper freezes ImageNet's weights, which no package index carries; here all of it is trained.
"""

from __future__ import annotations

from typing import Any

UNITS = 256
"""Of the hidden dense layer; the paper gives none."""


def build(labels: int, *, size: int = 48, dropout: float = 0.3) -> Any:
    """Return a Keras model, (batch, size, size, 3) float32 to (batch, labels) float32 logits."""
    import keras
    from keras import layers

    face = keras.Input((size, size, 3), name="face")
    x = keras.applications.ResNet50(include_top=False, weights=None, input_tensor=face, pooling="avg").output
    x = layers.Dropout(dropout)(layers.Dense(UNITS, activation="relu")(x))
    return keras.Model(face, layers.Dense(labels, name="logits")(x), name="resnet50")

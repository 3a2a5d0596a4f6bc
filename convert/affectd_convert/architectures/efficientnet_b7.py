"""EfficientNet-B7 for faces, grey repeated in three channels (Tan & Le 2019), with the head of Khachatryan & Tovmasyan.

Batch norm, Dense 256 with L1 and L2 (the paper gives no strengths, these are ours), dropout 0.45; by Adamax. It has 64
million parameters: an architecture to hold others against, for no small box. The paper shows it FER2013's faces drawn
out to 224x224; they have 48x48 pixels, and here they are shown as they are: nothing is lost, and 224x224 takes more
than the 23 GB of memory that a workstation may have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

L1, L2 = 1e-4, 1e-4
DROPOUT = 0.45


def build(labels: int, *, size: int = 48, base: Callable[..., Any] | None = None) -> Any:
    """Return a Keras model, (batch, size, size, 3) float32 in 0..255 to (batch, labels) float32 logits.

    `base` is another of Keras's EfficientNets than B7.
    """
    import keras
    from keras import layers, regularizers

    face = keras.Input((size, size, 3), name="face")
    base = keras.applications.EfficientNetB7 if base is None else base
    x = base(include_top=False, weights=None, input_tensor=face, pooling="max").output
    x = layers.BatchNormalization()(x)
    x = layers.Dense(256, activation="relu", kernel_regularizer=regularizers.L1L2(L1, L2))(x)
    return keras.Model(face, layers.Dense(labels, name="logits")(layers.Dropout(DROPOUT)(x)), name="efficientnet_b7")

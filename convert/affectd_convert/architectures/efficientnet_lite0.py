"""EfficientNet-Lite0 (Google 2020): EfficientNet-B0 (Tan & Le 2019) without what a small box is slow at.

No squeeze and excitation, ReLU6 in the place of swish, stem and head not scaled: every operator has an int8 kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

BLOCKS = (
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)
"""(side, expansion, channels, repeats, stride) of each stage."""
STEM, HEAD = 32, 1280


def build(
    labels: int,
    *,
    size: int = 96,
    channels: int = 3,
    blocks: Sequence[tuple[int, int, int, int, int]] = BLOCKS,
    dropout: float = 0.2,
) -> Any:
    """Return a Keras model, (batch, size, size, channels) float32 to (batch, labels) float32 logits."""
    import keras
    from keras import layers

    face = keras.Input((size, size, channels), name="face")
    x = _activated(layers.Conv2D(STEM, 3, strides=2, padding="same", use_bias=False)(face))
    for side, expansion, wanted, repeats, stride in blocks:
        for repeat in range(repeats):
            x = _block(x, side, expansion, wanted, stride if repeat == 0 else 1)
    x = _activated(layers.Conv2D(HEAD, 1, use_bias=False)(x))
    x = layers.Dropout(dropout)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(face, layers.Dense(labels, name="logits")(x), name="efficientnet_lite0")


def _block(x: Any, side: int, expansion: int, channels: int, stride: int) -> Any:
    from keras import layers

    before, entered = x, x.shape[-1]
    if expansion > 1:
        x = _activated(layers.Conv2D(expansion * entered, 1, use_bias=False)(x))
    x = _activated(layers.DepthwiseConv2D(side, strides=stride, padding="same", use_bias=False)(x))
    x = layers.BatchNormalization()(layers.Conv2D(channels, 1, use_bias=False)(x))
    return layers.Add()([before, x]) if stride == 1 and entered == channels else x


def _activated(x: Any) -> Any:
    from keras import layers

    return layers.ReLU(6.0)(layers.BatchNormalization()(x))

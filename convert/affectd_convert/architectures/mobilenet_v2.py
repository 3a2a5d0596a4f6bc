"""MobileNetV2 for 48x48 grey faces (Sandler et al. 2018), the small network that Gandhi & Patil hold VGG16 against.

Its first stride is taken out: the five halvings of the original are for pictures of 224x224, and would leave a face of
48x48 two by two cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""(expansion, channels, repeats, stride) of each row of the paper's table 2."""
STEM, HEAD = 32, 1280


def build(
    labels: int,
    *,
    size: int = 48,
    width: float = 1.0,
    blocks: Sequence[tuple[int, int, int, int]] = BLOCKS,
    dropout: float = 0.2,
) -> Any:
    """Return a Keras model, (batch, size, size, 1) float32 to (batch, labels) float32 logits.

    `width` multiplies every layer's channels, as in the paper.
    """
    import keras
    from keras import layers

    face = keras.Input((size, size, 1), name="face")
    x = _convolved(face, _wide(STEM, width), side=3)
    for expansion, channels, repeats, stride in blocks:
        for repeat in range(repeats):
            x = _bottleneck(x, expansion, _wide(channels, width), stride if repeat == 0 else 1)
    x = _convolved(x, _wide(HEAD, max(width, 1.0)), side=1)
    x = layers.Dropout(dropout)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(face, layers.Dense(labels, name="logits")(x), name="mobilenet_v2")


def _bottleneck(x: Any, expansion: int, channels: int, stride: int) -> Any:
    """Return an inverted residual with a linear bottleneck: expand, filter depthwise, project."""
    from keras import layers

    before, entered = x, x.shape[-1]
    if expansion > 1:
        x = _convolved(x, expansion * entered, side=1)
    x = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.BatchNormalization()(layers.Conv2D(channels, 1, use_bias=False)(x))
    return layers.Add()([before, x]) if stride == 1 and entered == channels else x


def _convolved(x: Any, channels: int, *, side: int) -> Any:
    from keras import layers

    x = layers.Conv2D(channels, side, padding="same", use_bias=False)(x)
    return layers.ReLU(6.0)(layers.BatchNormalization()(x))


def _wide(channels: int, width: float) -> int:
    """Round to the nearest multiple of 8, never down by more than a tenth."""
    rounded = max(8, int(channels * width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels * width else rounded

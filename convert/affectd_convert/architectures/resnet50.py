"""ResNet-50 for 48x48 faces, grey repeated in three channels (He et al. 2015), with pooling and Dense as Dargula et al.

The paper freezes ImageNet's weights, which no package index carries; here all of it is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""(channels within, blocks) of each stage; it gives four times the channels and, but for the first, half the size."""
STEM = 64
UNITS = 256
"""Of the hidden dense layer; the paper gives none."""


def build(
    labels: int,
    *,
    size: int = 48,
    stem: int = STEM,
    stages: Sequence[tuple[int, int]] = STAGES,
    dropout: float = 0.3,
) -> Any:
    """Return a Keras model, (batch, size, size, 3) float32 to (batch, labels) float32 logits."""
    import keras
    from keras import layers

    face = keras.Input((size, size, 3), name="face")
    x = layers.ReLU()(_convolved(face, stem, 7, stride=2))
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    for stage, (channels, blocks) in enumerate(stages):
        for block in range(blocks):
            x = _bottleneck(x, channels, stride=2 if stage and not block else 1)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(dropout)(layers.Dense(UNITS, activation="relu")(x))
    return keras.Model(face, layers.Dense(labels, name="logits")(x), name="resnet50")


def _bottleneck(x: Any, channels: int, *, stride: int) -> Any:
    """Return a residual block: 1x1 down, 3x3, 1x1 up to four times the channels."""
    from keras import layers

    given = 4 * channels
    before = x if x.shape[-1] == given else _convolved(x, given, 1, stride=stride)
    x = layers.ReLU()(_convolved(x, channels, 1, stride=stride))
    x = layers.ReLU()(_convolved(x, channels, 3))
    return layers.ReLU()(layers.Add()([before, _convolved(x, given, 1)]))


def _convolved(x: Any, channels: int, side: int, *, stride: int = 1) -> Any:
    from keras import layers

    x = layers.Conv2D(channels, side, strides=stride, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    return layers.BatchNormalization()(x)

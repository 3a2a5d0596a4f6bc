"""VGG16 for 48x48 grey faces: its thirteen 3x3 convolutions, batch norm, pooling, two Dense 1024.

Simonyan & Zisserman 2015, with the head of Wani et al. (Emosense): global average pooling,
2 x Dense 1024, 7 outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Widths:
    """Channels of the five blocks' convolutions, and units of the two hidden dense layers."""

    blocks: tuple[int, int, int, int, int] = (64, 128, 256, 512, 512)
    dense: int = 1024


FULL = Widths()
SLIM = Widths((64, 96, 192, 384, 256), 512)
"""6.8 M parameters instead of 16.3 M, and three fifths of the multiplications: under 8 MB in int8."""
FAST = Widths((32, 64, 112, 144, 128), 128)
"""1.4 M parameters, a sixth of the multiplications: under 1.5 MB in int8."""
CONVOLUTIONS = (2, 2, 3, 3, 3)
"""Of each block; it ends in 2x2 max pooling."""


def build(labels: int, *, size: int | None = 48, dropout: float = 0.4, widths: Widths = FULL) -> Any:
    """Return a Keras model, (batch, size, size, 1) float32 to (batch, labels) float32 logits.

    `size` None takes any side from 16 up, for training on growing images.
    """
    import keras
    from keras import layers

    x = image = keras.Input((size, size, 1), name="face")
    for block, (channels, convolutions) in enumerate(zip(widths.blocks, CONVOLUTIONS, strict=True), start=1):
        for number in range(1, convolutions + 1):
            name = f"block{block}_conv{number}"
            x = layers.Conv2D(channels, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=name)(x)
            x = layers.BatchNormalization(momentum=0.95, epsilon=1e-5, name=f"{name}_bn")(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
        x = layers.MaxPooling2D(2, padding="same", name=f"block{block}_pool")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    for number in (1, 2):
        x = layers.Dense(widths.dense, activation="relu", kernel_initializer="he_normal", name=f"fc{number}")(x)
        x = layers.Dropout(dropout, name=f"fc{number}_dropout")(x)
    logits = layers.Dense(labels, dtype="float32", name="logits")(x)
    return keras.Model(image, logits, name="vgg16")

"""VGG16 for 48x48 grey faces: its thirteen 3x3 convolutions, batch norm, pooling, two Dense 1024.

Simonyan & Zisserman 2015, with the head of Wani et al. (Emosense): global average pooling,
2 x Dense 1024, 7 outputs.
"""

from __future__ import annotations

from typing import Any

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and convolutions of each block; a block ends in 2x2 max pooling."""


def build(labels: int, *, size: int | None = 48, dropout: float = 0.4, width: float = 1.0) -> Any:
    """Give a Keras model, (batch, size, size, 1) float32 to (batch, labels) float32 logits.

    `size` None takes any side from 16 up, for training on growing images. `width` scales the channels.
    """
    import keras
    from keras import layers

    x = image = keras.Input((size, size, 1), name="face")
    for block, (channels, convolutions) in enumerate(BLOCKS, start=1):
        for number in range(1, convolutions + 1):
            name = f"block{block}_conv{number}"
            x = layers.Conv2D(
                round(channels * width), 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
            )(x)
            x = layers.BatchNormalization(momentum=0.95, epsilon=1e-5, name=f"{name}_bn")(x)
            x = layers.ReLU(name=f"{name}_relu")(x)
        x = layers.MaxPooling2D(2, padding="same", name=f"block{block}_pool")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    for number in (1, 2):
        x = layers.Dense(1024, activation="relu", kernel_initializer="he_normal", name=f"fc{number}")(x)
        x = layers.Dropout(dropout, name=f"fc{number}_dropout")(x)
    logits = layers.Dense(labels, dtype="float32", name="logits")(x)
    return keras.Model(image, logits, name="vgg16")

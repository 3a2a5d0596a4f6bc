"""The CNN of Das & Khokher for 48x48 grey faces: 64 3x3, 128 5x5, 512 3x3, 512 3x3, Dense 256 and 512."""

from __future__ import annotations

from typing import Any

from affectd_convert.architectures.stacked_convolutions import Blocks, stack

BLOCKS = ((64, 3), (128, 5), (512, 3), (512, 3))
"""(channels, side) of each block's convolution."""
DENSE = (256, 512)


def build(labels: int, *, size: int = 48, blocks: Blocks = BLOCKS) -> Any:
    """Return a Keras model, (batch, size, size, 1) float32 to (batch, labels) float32 logits."""
    return stack("das_cnn", blocks, DENSE, labels, size=size)

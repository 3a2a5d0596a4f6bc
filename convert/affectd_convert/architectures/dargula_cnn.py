"""The CNN of Dargula et al. for 48x48 grey faces: 64, 128, 256 channels of 3x3; the Dense 256 is our guess."""

from __future__ import annotations

from typing import Any

from affectd_convert.architectures.stacked_convolutions import Blocks, stack

BLOCKS = ((64, 3), (128, 3), (256, 3))
"""(channels, side) of each block's convolution."""
DENSE = (256,)


def build(labels: int, *, size: int = 48, blocks: Blocks = BLOCKS) -> Any:
    """Return a Keras model, (batch, size, size, 1) float32 to (batch, labels) float32 logits."""
    return stack("dargula_cnn", blocks, DENSE, labels, size=size)

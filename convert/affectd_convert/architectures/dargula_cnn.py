"""The CNN of Dargula et al. for 48x48 grey faces: 64, 128, 256 channels of 3x3; the Dense 256 is our guess."""

from __future__ import annotations

from typing import Any

from affectd_convert.architectures.stacked_convolutions import stack

BLOCKS = ((64, 3), (128, 3), (256, 3))
"""(channels, side) of each block's convolution."""
DENSE = (256,)


def build(labels: int) -> Any:
    """Return a Keras model, (batch, 48, 48, 1) float32 to (batch, labels) float32 logits."""
    return stack("dargula_cnn", BLOCKS, DENSE, labels)

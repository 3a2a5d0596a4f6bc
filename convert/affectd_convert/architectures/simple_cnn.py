"""The simple CNN that Gandhi & Patil hold VGG16 against, for 48x48 grey faces.

The paper gives no widths; ours are 32, 64 and 128 channels of 3x3, and Dense 128.
"""

from __future__ import annotations

from typing import Any

from affectd_convert.architectures.stacked_convolutions import Blocks, stack

BLOCKS = ((32, 3), (64, 3), (128, 3))
"""(channels, side) of each block's convolution."""
DENSE = (128,)


def build(labels: int, *, size: int = 48, blocks: Blocks = BLOCKS) -> Any:
    """Return a Keras model, (batch, size, size, 1) float32 to (batch, labels) float32 logits."""
    return stack("simple_cnn", blocks, DENSE, labels, size=size)

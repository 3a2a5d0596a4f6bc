"""One batch of training samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Batch(NamedTuple):
    """Inputs and what the network should answer."""

    inputs: NDArray[np.float32]
    """(n, ...)."""
    targets: NDArray[np.float32]
    """(n, labels), each row summing to 1."""

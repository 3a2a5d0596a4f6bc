"""The seam between a model and what it runs on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from affectd.inference.bundle import Bundle
from affectd.inference.interpreter import Runtime
from affectd.inference.manifest import TensorType

FloatArray = NDArray[np.float32]


class Network(Protocol):
    """An open network. Not thread-safe: one thread calls it."""

    input_shape: tuple[int, ...]
    input_type: TensorType

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output, the batch axis included."""
        ...

    @property
    def output_type(self) -> TensorType:
        """Type of the output."""
        ...

    def __call__(self, x: FloatArray) -> FloatArray:
        """Run on one float32 input, with or without the batch axis; return logits (n,) float32."""
        ...

    def run(self, inputs: FloatArray) -> FloatArray:
        """Run on each of (count, ...) inputs; return logits (count, n) float32."""
        ...


@dataclass(frozen=True, slots=True)
class Workload:
    """What is to be run."""

    bundle: Bundle
    kind: str
    """Of the variant."""
    runtime: Runtime


@dataclass(frozen=True, slots=True)
class Opened:
    """A network and how much of it the accelerator took."""

    network: Network
    share: str
    """Such as '13 of 22 operations'."""


class Accelerator(Protocol):
    """One way to run a network."""

    @property
    def name(self) -> str:
        """As in `inference.delegate`."""
        ...

    @property
    def options(self) -> str:
        """As in `inference.options`; a verdict holds for these alone."""
        ...

    @property
    def threads(self) -> int:
        """Threads of what the CPU does."""
        ...

    def fingerprint(self) -> str:
        """Return what changes when the library or driver does; empty where that is not known."""
        ...

    def open(self, path: Path, runtime: Runtime) -> Opened:
        """Open the `.tflite` at `path`. Raises ModelError where it is refused, or nothing of it is taken; MemoryError.

        Native code of other people: it may do anything, so only a process that can be spared calls it first.
        """
        ...

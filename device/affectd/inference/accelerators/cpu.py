"""The runtime's own kernels on the processor: there always, right on every box, and what all else is held against."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from affectd.inference.accelerators.accelerator import Opened
from affectd.inference.interpreter import Interpreter, Runtime

NAME = "cpu"
_THREADS = (1, 2, 4)


@dataclass(frozen=True, slots=True)
class Cpu:
    """The processor, with so many threads."""

    threads: int = 1
    name: str = NAME
    options: str = ""

    def fingerprint(self) -> str:
        """Return how many cores there are."""
        return f"{cores()} cores"

    def open(self, path: Path, runtime: Runtime) -> Opened:
        """Open the model. Raises ModelError, MemoryError."""
        return Opened(Interpreter(path, runtime, threads=self.threads), "all operations")


def thread_counts() -> list[int]:
    """Return the numbers of threads worth measuring on this box, fewest first."""
    return [count for count in _THREADS if count <= cores()]


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))

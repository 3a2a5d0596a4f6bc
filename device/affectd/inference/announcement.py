"""Keeps the line with which a TFLite runtime announces its CPU kernels, once in a process, out of the log."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

ANNOUNCEMENT = b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU."
# The smallest network that has the runtime make its CPU kernels: y = |x| of one float.
_MODEL = base64.b64decode(
    "GAAAAFRGTDMAAA4AFAAQAAwACAAAAAQADgAAABAAAAAcAAAAtAAAAAMAAAABAAAACAAAAAQABAAEAAAAAQAAABAAAAAMABQAEAAMAAgABAAMAAAAEAAA"
    "ADwAAABAAAAARAAAAAEAAAAQAAAAAAAKAAwAAAAIAAQACgAAAAgAAAAMAAAAAQAAAAEAAAABAAAAAAAAAAEAAAABAAAAAQAAAAAAAAACAAAAIAAAAAQA"
    "AADu////BAAAAAEAAAABAAAAAAAGAAgABAAGAAAABAAAAAEAAAABAAAAAQAAABAAAAAMAAwACwAAAAAABAAMAAAAZQAAAAAAAGU="
)
_made: set[str] = set()


def take_announcement(module: ModuleType) -> None:
    """Have a runtime, its module with `Interpreter`, make its announcement now, and drop it; once in a process.

    Neither runtime lets Python set its log level, so standard error is turned aside. It is for the millisecond that
    a network of one operation takes to open, and not while a model or a delegate is: what those say, or die of, is
    on standard error as ever. All else that is written meanwhile, by other threads too, is passed on.
    """
    if module.__name__ in _made:
        return
    _made.add(module.__name__)
    with suppress(OSError), _without(ANNOUNCEMENT), suppress(ValueError, RuntimeError):
        module.Interpreter(model_content=_MODEL, num_threads=1).allocate_tensors()


@contextmanager
def _without(line: bytes) -> Iterator[None]:
    """Hold back what is written to descriptor 2, and pass it on at the end, but for `line`. Raises OSError."""
    if sys.stderr is not None:
        sys.stderr.flush()
    kept = os.dup(2)
    try:
        with os.fdopen(os.memfd_create("standard error"), "w+b") as held:
            os.dup2(held.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(kept, 2)
            held.seek(0)
            written = held.read().replace(line + b"\n", b"")
        while written:
            written = written[os.write(2, written) :]
    finally:
        os.close(kept)

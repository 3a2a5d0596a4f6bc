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
    a network of one operation takes to open, and not while a model or a delegate is: what those write, or die of, is
    on standard error as ever. All else that is written meanwhile, by other threads too, is passed on.
    """
    if module.__name__ in _made:
        return
    _made.add(module.__name__)
    with suppress(OSError), _without(ANNOUNCEMENT), suppress(ValueError, RuntimeError):
        module.Interpreter(model_content=_MODEL, num_threads=1).allocate_tensors()


@contextmanager
def _without(line: bytes) -> Iterator[None]:
    """Hold back the output to descriptor 2, as much as a pipe holds, and pass it on but for `line`. Raises OSError."""
    if sys.stderr is not None:
        sys.stderr.flush()
    kept, (reader, writer) = os.dup(2), os.pipe()
    os.set_blocking(reader, False)
    try:
        os.dup2(writer, 2)
        os.close(writer)
        try:
            yield
        finally:
            os.dup2(kept, 2)
        written = b""
        with suppress(BlockingIOError):  # a program that was started meanwhile may hold the other end open
            while some := os.read(reader, 65536):
                written += some
        written = written.replace(line + b"\n", b"")
        while written:
            written = written[os.write(2, written) :]
    finally:
        os.close(reader)
        os.close(kept)

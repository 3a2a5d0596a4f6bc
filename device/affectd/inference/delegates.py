"""Accelerators: TFLite delegate libraries, used only after they gave the CPU's answers."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from affectd.errors import ModelError
from affectd.inference.interpreter import Interpreter, Runtime

_LIBRARIES = {"edgetpu": "libedgetpu.so.1"}
_ENTRY_POINTS = ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate")
_log = logging.getLogger(__name__)


def open_proven(
    path: Path, runtime: Runtime, *, delegate: str, threads: int, prove: Callable[[Interpreter], None]
) -> tuple[Interpreter, str]:
    """Open the model at `path` on `delegate` ('cpu', 'edgetpu' or a library's path), and prove it.

    `prove` raises ModelError when the answers are wrong. A delegate that does not load, refuses the
    model or answers wrongly is left for the CPU, with a warning in the log. Gives the interpreter and
    the delegate in use; raises ModelError when the CPU fails too.
    """
    if delegate != "cpu":
        try:
            interpreter = Interpreter(path, runtime, threads=threads, delegate=load_delegate(runtime, delegate))
            prove(interpreter)
        except ModelError as error:
            _log.warning("delegate %s is left for the CPU: %s", delegate, error)
        else:
            return interpreter, delegate
    interpreter = Interpreter(path, runtime, threads=threads)
    prove(interpreter)
    return interpreter, "cpu"


def load_delegate(runtime: Runtime, delegate: str) -> Any:
    """Load a delegate library. Raises ModelError when it is missing, is none, or has no device."""
    library = _LIBRARIES.get(delegate, delegate)
    try:
        # Looked at first: a runtime whose loading failed half-way complains again in its destructor.
        plugin = ctypes.CDLL(library)
    except OSError as error:
        raise ModelError(f"{library}: cannot be loaded: {error}") from error
    if not all(hasattr(plugin, name) for name in _ENTRY_POINTS):
        raise ModelError(f"{library}: not a TFLite delegate, it lacks {' or '.join(_ENTRY_POINTS)}")
    try:
        return runtime.module.load_delegate(library)
    except (OSError, AttributeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{library}: no delegate from it: {' '.join(str(error).split())}") from error

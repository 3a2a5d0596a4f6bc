"""Logits of a `.tflite` as the device computes them, in a process of its own.

python -m affectd_convert.conversion.tflite_logits RUNTIME MODEL.tflite INPUTS.npy OUT.npy
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectd.inference.interpreter import Interpreter, load_runtime
from affectd_convert.conversion.bounded_process import exit_code_of, run_module

FloatArray = NDArray[np.float32]


def device_logits(tflite: Path, inputs: FloatArray, *, runtime: str = "auto") -> FloatArray:
    """Run a `.tflite` on inputs (n, ...) as the device does; give logits (n, labels).

    `runtime` is 'auto', 'litert' or 'tflite-runtime'. Raises ConversionError when it is not there,
    refuses the file, or crashes.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder, "inputs.npy"), Path(folder, "logits.npy")
        np.save(given, inputs)
        run_module(
            "affectd_convert.conversion.tflite_logits",
            [runtime, tflite, given, out],
            what=f"{tflite}: running on {runtime}",
        )
        return np.asarray(np.load(out, allow_pickle=False), np.float32)


def main() -> int:
    """Run as the command line says."""
    runtime, *paths = sys.argv[1:]
    tflite, inputs, out = map(Path, paths)

    def run() -> None:
        np.save(out, Interpreter(tflite, load_runtime(runtime)).run(np.load(inputs, allow_pickle=False)))

    return exit_code_of(run)


if __name__ == "__main__":
    sys.exit(main())

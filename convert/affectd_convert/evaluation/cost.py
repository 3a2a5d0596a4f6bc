"""What a variant costs: parameters and multiplications counted in its `.tflite`, milliseconds by running it.

python -m affectd_convert.evaluation.cost RUNTIME MODEL.tflite OUT.json
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from affectd.errors import AffectdError
from affectd.inference.interpreter import Interpreter, installed_runtimes, load_runtime
from affectd_convert.conversion.bounded_process import run_module

WARM_UP, RUNS = 5, 50
_UNCOUNTED = {"BATCH_MATMUL", "BIDIRECTIONAL_SEQUENCE_LSTM", "CONV_3D", "TRANSPOSE_CONV", "WHILE"}
"""Operations that multiply, but not in a way that is counted here."""
_CELL = slice(1, 9)
"""Inputs of UNIDIRECTIONAL_SEQUENCE_LSTM that are its eight matrices; biases and projection follow."""
_CELL_CONSTANTS = slice(1, 18)

Operation = Mapping[str, Any]
Shapes = Mapping[int, tuple[int, ...]]
"""Of tensors, by their index."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One `.tflite` on one runtime and machine."""

    parameters: int
    """Weights and biases as deployed: batch normalization is folded into them."""
    macs: int | None
    """Multiply-accumulates of one inference; None when it has operations that cannot be counted."""
    milliseconds: float
    """Median CPU time of one inference on one thread, preprocessing not included."""
    runtime: str
    machine: str


def measure_costs(tflite: Path) -> tuple[Cost, ...]:
    """Count and time a `.tflite` on every runtime installed, each in a process of its own.

    Raises ConversionError when a runtime refuses the file or crashes.
    """
    costs = []
    for runtime, version in installed_runtimes().items():
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "cost.json")
            run_module("affectd_convert.evaluation.cost", [runtime, tflite, out], what=f"{tflite}: timing on {version}")
            costs.append(Cost(**json.loads(out.read_text(encoding="utf-8"))))
    return tuple(costs)


def count(operations: Sequence[Operation], shapes: Shapes) -> tuple[int, int | None]:
    """Return parameters and multiply-accumulates of a network's operations."""
    constants: set[int] = set()
    macs, countable = 0, True
    for operation in operations:
        name, inputs = operation["op_name"], [int(i) for i in operation["inputs"]]
        if name in {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}:
            constants.update(inputs[1:])
            weights = shapes[inputs[1]]
            # The output's channels stand last in depthwise weights, first in the others.
            channels = weights[-1] if name == "DEPTHWISE_CONV_2D" else weights[0]
            macs += prod(shapes[int(operation["outputs"][0])]) * prod(weights) // channels
        elif name == "UNIDIRECTIONAL_SEQUENCE_LSTM":
            constants.update(inputs[_CELL_CONSTANTS])
            steps = prod(shapes[inputs[0]][:-1])
            macs += steps * sum(prod(shapes[i]) for i in inputs[_CELL] if i >= 0)
        countable &= name not in _UNCOUNTED
    parameters = sum(prod(shapes[i]) for i in constants if i >= 0)
    return parameters, macs if countable else None


def machine() -> str:
    """Name the processor, as Linux does where it can."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return named.get("Model") or named.get("model name") or platform.processor() or platform.machine()


def _measure(tflite: Path, runtime: str) -> Cost:
    loaded = load_runtime(runtime)
    model = Interpreter(tflite, loaded)
    inputs = np.random.default_rng(0).standard_normal(model.input_shape).astype(np.float32)
    for _ in range(WARM_UP):
        model(inputs)
    times = []
    for _ in range(RUNS):
        # CPU time: that of one thread is the wall's on an idle machine, and hardly depends on what else runs.
        began = time.process_time()
        model(inputs)
        times.append(1e3 * (time.process_time() - began))
    opened = loaded.module.Interpreter(model_path=str(tflite), num_threads=1)
    opened.allocate_tensors()
    shapes = {int(d["index"]): tuple(int(n) for n in d["shape"]) for d in opened.get_tensor_details()}
    # No public call lists the operations; both runtimes have this one.
    parameters, macs = count(opened._get_ops_details(), shapes)
    return Cost(parameters, macs, round(statistics.median(times), 3), str(loaded), machine())


def main() -> int:
    """Run as the command line says; the error is the last line on stderr."""
    runtime, tflite, out = sys.argv[1:]
    try:
        cost = _measure(Path(tflite), runtime)
    except AffectdError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    Path(out).write_text(json.dumps(asdict(cost)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What quantization adds to the error, layer by layer: a float variant's tensors beside those of the int8 one.

python -m affectd_convert.conversion.layer_errors FLOAT.tflite INT8.tflite INPUTS.npy OUT.json

Both come from one network, so that a layer's output has the same name in both. Needs no TensorFlow.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.errors import ModelError
from affectd.inference.interpreter import load_runtime
from affectd_convert.conversion.bounded_process import exit_code_of, run_module

FloatArray = NDArray[np.float32]
SAMPLES = 32
"""Inputs that are compared."""
_CONVERSIONS = {"QUANTIZE", "DEQUANTIZE"}
"""Operations that the other file lacks."""


@dataclass(frozen=True, slots=True)
class LayerError:
    """One layer of the int8 variant."""

    name: str
    """Of the tensor that it gives."""
    operation: str
    error: float
    """RMS difference from the float layer's output, as a share of that output's standard deviation."""
    added: float
    """What of it this layer adds to the error of its inputs, as if the two were independent."""


def layer_errors(reference: Path, variant: Path, inputs: FloatArray) -> tuple[LayerError, ...]:
    """Compare every layer of two `.tflite` files on inputs (n, ...); return the layers by what they add, largest first.

    Runs in a process of its own. Raises ConversionError when a file cannot be run so.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder, "inputs.npy"), Path(folder, "errors.json")
        np.save(given, inputs[:SAMPLES])
        run_module(
            "affectd_convert.conversion.layer_errors",
            [reference, variant, given, out],
            what=f"{variant}: comparing its layers",
        )
        return tuple(LayerError(**each) for each in json.loads(out.read_text(encoding="utf-8")))


def short_name(name: str) -> str:
    """Return a tensor's name as people know the layer: without scopes, copies' numbers and what was merged into it."""
    parts = [re.sub(r"_\d+$", "", part) for part in name.split(";", maxsplit=1)[0].split("/")]
    return parts[-2] if len(parts) > 1 else "output" if parts[0].startswith("StatefulPartitionedCall") else parts[0]


def _compare(reference: Path, variant: Path, inputs: FloatArray) -> list[LayerError]:
    exact, stored = (_Traced(path) for path in (reference, variant))
    pairs = _pairs(exact.layers, stored.layers)
    squared, moments = dict.fromkeys(pairs, 0.0), dict.fromkeys(pairs, (0.0, 0.0, 0))
    for x in inputs:
        theirs, ours = exact.outputs(x), stored.outputs(x)
        for tensor, (_, other) in pairs.items():
            expected = theirs[other].astype(np.float64)
            squared[tensor] += float(np.square(expected - ours[tensor]).sum())
            total, squares, count = moments[tensor]
            moments[tensor] = total + expected.sum(), squares + float(np.square(expected).sum()), count + expected.size
    errors = {}
    for tensor, (total, squares, count) in moments.items():
        variance = squares / count - (total / count) ** 2
        if variance > 0:
            errors[tensor] = float(np.sqrt(squared[tensor] / count / variance))
    layers = [
        LayerError(pairs[layer.output][0], layer.operation, errors[layer.output], _added(errors, layer))
        for layer in stored.layers
        if layer.output in errors
    ]
    return sorted(layers, key=lambda layer: -layer.added)


def _pairs(exact: Sequence[_Layer], stored: Sequence[_Layer]) -> dict[int, tuple[str, int]]:
    """Return the float layer's name and output for each int8 layer's output.

    Each operation's first is the other's first, and so on, where both files have as many of it: names are merged in
    another order where layers were. Else they go by their names.
    """
    pairs = {}
    for operation in dict.fromkeys(layer.operation for layer in stored):
        theirs, ours = ([one for one in layers if one.operation == operation] for layers in (exact, stored))
        if [one.shape for one in theirs] != [one.shape for one in ours]:
            named = {(one.name, one.shape): one for one in theirs}
            ours = [one for one in ours if (one.name, one.shape) in named]
            theirs = [named[one.name, one.shape] for one in ours]
        pairs.update({a.output: (b.name, b.output) for a, b in zip(ours, theirs, strict=True)})
    return pairs


def _added(errors: Mapping[int, float], layer: _Layer) -> float:
    before = max((errors.get(each, 0.0) for each in layer.inputs), default=0.0)
    return float(np.sqrt(max(0.0, errors[layer.output] ** 2 - before**2)))


@dataclass(frozen=True, slots=True)
class _Layer:
    """One operation of a `.tflite`, by the numbers of its tensors."""

    name: str
    operation: str
    output: int
    inputs: tuple[int, ...]
    shape: tuple[int, ...]


class _Traced:
    """A `.tflite` that keeps every tensor, on plain kernels: delegates would keep only their last."""

    def __init__(self, path: Path) -> None:
        module = load_runtime("auto").module
        try:
            self._interpreter = module.Interpreter(
                model_path=str(path),
                experimental_preserve_all_tensors=True,
                experimental_op_resolver_type=module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{path}: cannot be traced: {str(error).strip().partition(chr(10))[0]}") from error
        self._tensors = {int(each["index"]): each for each in self._interpreter.get_tensor_details()}
        self.layers = [
            _Layer(self._tensors[output]["name"], each["op_name"], output, inputs, self._shape(output))
            for each in self._interpreter._get_ops_details()
            if each["op_name"] not in _CONVERSIONS
            for inputs in (tuple(int(i) for i in each["inputs"]),)
            for output in (int(i) for i in each["outputs"])
            if output in self._tensors
        ]

    def outputs(self, x: FloatArray) -> dict[int, FloatArray]:
        """Run one input; return the layers' outputs, as floats."""
        takes = self._interpreter.get_input_details()[0]
        self._interpreter.reset_all_variables()
        self._interpreter.set_tensor(takes["index"], _quantized(x[np.newaxis], takes))
        self._interpreter.invoke()
        values = {}
        for index in (layer.output for layer in self.layers):
            stored, (scale, zero) = self._interpreter.get_tensor(index), self._tensors[index]["quantization"]
            values[index] = (stored.astype(np.float32) - zero) * scale if stored.dtype == np.int8 else stored
        return values

    def _shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(int(size) for size in self._tensors[tensor]["shape"])


def _quantized(x: FloatArray, takes: Mapping[str, Any]) -> NDArray[Any]:
    if takes["dtype"] == np.float32:
        return x
    scale, zero = takes["quantization"]
    stored: NDArray[np.int8] = np.clip(np.rint(x / np.float32(scale)) + zero, -128, 127).astype(np.int8)
    return stored


def main() -> int:
    """Compare as the command line says."""
    reference, variant, inputs, out = map(Path, sys.argv[1:])

    def compare() -> None:
        errors = _compare(reference, variant, np.load(inputs, allow_pickle=False))
        out.write_text(json.dumps([asdict(each) for each in errors]), encoding="utf-8")

    return exit_code_of(compare)


if __name__ == "__main__":
    sys.exit(main())

"""A TFLite model on a runtime: tflite-runtime or LiteRT, floats in, logits out."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.errors import ModelError
from affectd.inference.announcement import take_announcement
from affectd.inference.flatbuffer import check_model
from affectd.inference.manifest import TensorType

FloatArray = NDArray[np.float32]

_MODULES = {
    # key: (name for people, module, distribution); in the order in which 'auto' tries them.
    "litert": ("LiteRT", "ai_edge_litert.interpreter", "ai-edge-litert"),
    "tflite-runtime": ("tflite-runtime", "tflite_runtime.interpreter", "tflite-runtime"),
}
RUNTIMES = tuple(_MODULES)


@dataclass(frozen=True, slots=True)
class Runtime:
    """An installed TFLite runtime."""

    key: str
    name: str
    version: str
    module: Any
    """Its module with `Interpreter` and `load_delegate`."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def load_runtime(choice: str) -> Runtime:
    """Import the runtime `choice`: 'litert', 'tflite-runtime', or 'auto' for the first there is.

    Raises ModelError when it is not installed or does not import, MemoryError.
    """
    problems = []
    for key in RUNTIMES if choice == "auto" else (choice,):
        name, module, distribution = _MODULES[key]
        if key == "tflite-runtime" and "tensorflow" in sys.modules and module not in sys.modules:
            problems.append(f"{name}: it crashes in a process that loaded TensorFlow before it")
            continue
        try:
            loaded = importlib.import_module(module)
            found = Runtime(key, name, importlib.metadata.version(distribution), loaded)
            take_announcement(loaded)
            return found
        except (ImportError, AttributeError) as error:
            problems.append(f"{name}: {error}")
    _require_memory(2**26)
    raise ModelError(
        f"no TFLite runtime for inference.runtime = {choice!r} ({'; '.join(problems)}); "
        f"install one ({sys.executable} -m pip install ai-edge-litert) or set inference.runtime to 'auto'"
    )


def installed_runtimes() -> dict[str, str]:
    """Return the runtimes installed here, key to name and version, without importing them."""
    found = {}
    for key, (name, _, distribution) in _MODULES.items():
        try:
            found[key] = f"{name} {importlib.metadata.version(distribution)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


class Interpreter:
    """One open model. Not thread-safe: one thread calls it."""

    def __init__(
        self, path: Path, runtime: Runtime, *, threads: int = 1, delegate: Any = None, outputs: int = 1
    ) -> None:
        """Open `path`, a model of so many outputs, on `runtime`; `delegate` comes of the runtime's load_delegate.

        Raises ModelError when the file is damaged, or runtime or delegate refuse it, MemoryError.
        """
        content = read_model(path)
        try:
            self._interpreter = runtime.module.Interpreter(
                model_content=content,
                num_threads=threads,
                experimental_delegates=None if delegate is None else [delegate],
            )
            self.delegated = (0, 0) if delegate is None else _delegated(self._interpreter)
            """Operations that the delegate took, and all there are."""
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            _require_memory(4 * len(content))
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise ModelError(f"{path}: {runtime} cannot open it: {reason}") from error
        takes, gives = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(takes) != 1 or len(gives) != outputs:
            wanted = "one of each" if outputs == 1 else f"one input and {outputs} outputs"
            raise ModelError(f"{path}: {len(takes)} inputs and {len(gives)} outputs, but affectd runs {wanted}")
        self._input_index = takes[0]["index"]
        self._outputs = [(each["index"], _tensor_type(path, each)) for each in gives]
        self.input_shape = tuple(int(n) for n in takes[0]["shape"])
        self.output_shapes = [tuple(int(n) for n in each["shape"]) for each in gives]
        self.input_type = _tensor_type(path, takes[0])
        self._scaled = np.empty(self.input_shape, np.float32)
        self._stored = np.empty(self.input_shape, np.dtype(self.input_type.dtype))

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the first output, the batch axis included."""
        return self.output_shapes[0]

    @property
    def output_type(self) -> TensorType:
        """Type of the first output."""
        return self._outputs[0][1]

    def __call__(self, x: FloatArray) -> FloatArray:
        """Run the network on one float32 input, with or without the batch axis; return logits (n,) float32."""
        return self.all_outputs(x)[0]

    def all_outputs(self, x: FloatArray) -> list[FloatArray]:
        """Run the network on one input; return every output without its batch axis, float32."""
        if x.shape not in (self.input_shape, self.input_shape[1:]):
            raise ValueError(f"input of shape {x.shape}, the model takes {self.input_shape}")
        # The fused LSTM keeps its state from call to call; every input is an utterance of its own.
        self._interpreter.reset_all_variables()
        self._interpreter.set_tensor(self._input_index, self._store(x))
        self._interpreter.invoke()
        return [_floats(self._interpreter.get_tensor(index)[0], kind) for index, kind in self._outputs]

    def run(self, inputs: FloatArray) -> FloatArray:
        """Run on each of (count, ...) inputs; return logits (count, n) float32."""
        return np.stack([self(x) for x in inputs])

    def _store(self, x: FloatArray) -> NDArray[Any]:
        """Bring the input to the model's own type, in buffers that are used again."""
        if self.input_type.dtype == "float32":
            self._stored[...] = x
            return self._stored
        np.divide(x, np.float32(self.input_type.scale), out=self._scaled)
        np.rint(self._scaled, out=self._scaled)
        self._scaled += self.input_type.zero_point
        np.clip(self._scaled, -128, 127, out=self._scaled)
        np.copyto(self._stored, self._scaled, casting="unsafe")
        return self._stored


def read_model(path: Path) -> bytes:
    """Read a `.tflite`. Raises ModelError when it is damaged.

    Its content, not its path, which the runtimes would map: a file that is cut off or written over while it is mapped
    ends the process with SIGBUS, or returns wrong outputs. Resident memory is the same.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        check_model(content)
    except ValueError as error:
        raise ModelError(f"{path}: {error}; copy the file again, or convert the model again") from error
    return content


def _delegated(interpreter: Any) -> tuple[int, int]:
    """Count the operations that a delegate took, before the tensors are allocated: then the CPU's kernels join in.

    What it took lies between the inputs and the outputs of the operations that stand in for it at the end.
    """
    details = interpreter._get_ops_details()
    stand_ins = [each for each in details if each["op_name"] == "DELEGATE"]
    own = [each for each in details if each["op_name"] != "DELEGATE"]
    maker = {int(tensor): number for number, each in enumerate(own) for tensor in each["outputs"]}
    taken: set[int] = set()
    for stand_in in stand_ins:
        given = {int(tensor) for tensor in stand_in["inputs"]}
        wanted = [int(tensor) for tensor in stand_in["outputs"]]
        while wanted:
            tensor = wanted.pop()
            number = maker.get(tensor)
            if tensor in given or number is None or number in taken:
                continue
            taken.add(number)
            wanted += [int(each) for each in own[number]["inputs"]]
    return len(taken), len(own)


def _floats(stored: NDArray[Any], kind: TensorType) -> FloatArray:
    values: FloatArray = stored.astype(np.float32)
    if kind.dtype == "int8":
        values -= kind.zero_point
        values *= kind.scale
    return values


def _require_memory(needed: int) -> None:
    """Raise MemoryError when there are not so many bytes: runtimes that got none blame the model, which may be good."""
    bytearray(needed)


def _tensor_type(path: Path, details: dict[str, Any]) -> TensorType:
    dtype = np.dtype(details["dtype"]).name
    if dtype not in ("float32", "int8"):
        raise ModelError(f"{path}: a tensor of type {dtype}, affectd runs float32 and int8; convert it again")
    scale, zero_point = details["quantization"] if dtype == "int8" else (0.0, 0)
    return TensorType(dtype, float(scale), int(zero_point))

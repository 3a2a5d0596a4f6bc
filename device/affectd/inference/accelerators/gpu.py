"""LiteRT's own GPU path (WebGPU over Vulkan): the whole network in half precision, or nothing of it."""

from __future__ import annotations

import hashlib
import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affectd.errors import ModelError
from affectd.inference.accelerators.accelerator import FloatArray, Opened
from affectd.inference.interpreter import Interpreter, Runtime, read_model
from affectd.inference.manifest import TensorType

NAME = "gpu"
KINDS = ("float16", "float32")
_DRIVERS = ("/etc/vulkan/icd.d", "/usr/share/vulkan/icd.d")
_FLOAT = TensorType("float32", 0.0, 0)


@dataclass(frozen=True, slots=True)
class Gpu:
    """The GPU that Vulkan offers."""

    name: str = NAME
    options: str = ""
    threads: int = 1

    def fingerprint(self) -> str:
        """Return a digest of the Vulkan drivers installed: which, and of when."""
        chosen = os.environ.get("VK_DRIVER_FILES", "")
        files = [Path(file) for file in chosen.split(":") if file]
        for folder in _DRIVERS:
            files += sorted(Path(folder).glob("*.json"))
        seen = [(str(file), file.stat().st_mtime_ns) for file in files if file.is_file()]
        return hashlib.sha256(repr(seen).encode()).hexdigest()

    def open(self, path: Path, runtime: Runtime) -> Opened:
        """Compile the model for the GPU. Raises ModelError where there is none or it cannot run all of it."""
        return Opened(_Compiled(path, runtime), "all operations")


class _Compiled:
    """A network compiled for the GPU, float32 in and out."""

    def __init__(self, path: Path, runtime: Runtime) -> None:
        if runtime.key != "litert":
            raise ModelError(f"{runtime} has no GPU; install ai-edge-litert and set inference.runtime to 'auto'")
        litert: Any = importlib.import_module("ai_edge_litert.compiled_model")
        content = read_model(path)
        # The file's input and output types, for the compiled model does not report quantization.
        plain = Interpreter(path, runtime)
        if plain.input_type != _FLOAT or plain.output_type != _FLOAT:
            raise ModelError(
                f'{path.name}: LiteRT\'s GPU runs {" and ".join(KINDS)}; set inference.variant = "{KINDS[0]}"'
            )
        self.input_shape, self.input_type = plain.input_shape, plain.input_type
        self.output_shape, self.output_type = plain.output_shape, plain.output_type
        del plain
        try:
            self._model = litert.CompiledModel.from_buffer(content, litert.HardwareAccelerator.GPU)
            complete = self._model.is_fully_accelerated()
            (self._input,), (self._output,) = self._model.create_input_buffers(0), self._model.create_output_buffers(0)
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise ModelError(
                f"{path.name}: no GPU that LiteRT can use ({reason}); is its Vulkan driver there?"
            ) from error
        if not complete:
            raise ModelError(f"{path.name}: the GPU runs only a part of it")

    def __call__(self, x: FloatArray) -> FloatArray:
        if x.shape not in (self.input_shape, self.input_shape[1:]):
            raise ValueError(f"input of shape {x.shape}, the model takes {self.input_shape}")
        self._input.write(np.ascontiguousarray(x, np.float32))
        self._model.run_by_index(0, [self._input], [self._output])
        return np.array(self._output.read(self.output_shape[-1], np.float32), np.float32)

    def run(self, inputs: FloatArray) -> FloatArray:
        """Run on each of (count, ...) inputs; return logits (count, n) float32."""
        return np.stack([self(x) for x in inputs])

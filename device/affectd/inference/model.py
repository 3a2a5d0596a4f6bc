"""A bundle's variant, opened and proven: logits and calibrated probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from affectd.errors import ModelError
from affectd.inference.bundle import Bundle
from affectd.inference.delegates import open_proven
from affectd.inference.golden import Golden, Parity
from affectd.inference.interpreter import FloatArray, Interpreter, load_runtime

OPENING_SAMPLES = 8
"""Golden samples run when a model is opened: enough to see wrong answers, few enough for a slow box."""


@dataclass(frozen=True, slots=True)
class Model:
    """An open model. Not thread-safe: one thread calls it."""

    bundle: Bundle
    kind: str
    interpreter: Interpreter
    runtime: str
    """Name and version of the runtime."""
    delegate: str
    """The delegate in use: 'cpu' also where another one was asked for and failed."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What the values mean, in their order."""
        return self.bundle.labels

    @property
    def temperature(self) -> float:
        """Of the calibration."""
        return self.bundle.temperature

    @property
    def description(self) -> str:
        """Name, version and variant, as events carry them."""
        return f"{self.bundle.name} {self.bundle.version} {self.kind}"

    def logits(self, x: FloatArray) -> FloatArray:
        """Give logits (labels,) float32 for one float32 input, with or without the batch axis."""
        return self.interpreter(x)

    def probabilities(self, x: FloatArray) -> tuple[float, ...]:
        """Give calibrated probabilities in the order of `labels` for one input."""
        return tuple(softmax(self.logits(x), self.temperature).tolist())


def open_model(bundle: Bundle, kind: str, *, runtime: str = "auto", delegate: str = "cpu", threads: int = 1) -> Model:
    """Open the variant `kind` and prove it on the golden samples.

    `runtime`: 'auto', 'litert' or 'tflite-runtime'; `delegate`: 'cpu', 'edgetpu' or a library's path.
    Raises ModelError when the runtime is not there, a file does not fit the manifest, or the answers
    are not those of the float parent.
    """
    path = bundle.model_file(kind)
    chosen = load_runtime(runtime)
    prove = partial(_prove, bundle, kind, bundle.golden())
    interpreter, used = open_proven(path, chosen, delegate=delegate, threads=threads, prove=prove)
    return Model(bundle, kind, interpreter, str(chosen), used)


def softmax(logits: FloatArray, temperature: float = 1.0) -> NDArray[np.float64]:
    """Give softmax(logits / temperature) over the last axis."""
    scaled = np.asarray(logits, np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    powers = np.exp(scaled)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _prove(bundle: Bundle, kind: str, golden: Golden, interpreter: Interpreter) -> None:
    """Raise ModelError unless the interpreter has the manifest's shapes and the float parent's answers."""
    variant = bundle.variant(kind)
    path = bundle.folder / variant.file
    outputs = (1, len(bundle.labels))
    if (interpreter.input_shape, interpreter.output_shape) != (bundle.input_shape, outputs):
        raise ModelError(
            f"{path}: takes {interpreter.input_shape} and gives {interpreter.output_shape}, "
            f"but the manifest says {bundle.input_shape} and {outputs}; convert it again"
        )
    if (interpreter.input_type, interpreter.output_type) != (variant.input, variant.output):
        raise ModelError(
            f"{path}: its tensors are {interpreter.input_type} and {interpreter.output_type}, "
            f"but the manifest says {variant.input} and {variant.output}; convert it again"
        )
    parent = golden.logits[:OPENING_SAMPLES]
    try:
        logits = interpreter.run(golden.inputs[:OPENING_SAMPLES])
    except RuntimeError as error:
        raise ModelError(f"{path}: fails when it runs: {' '.join(str(error).split())}") from error
    parity = Parity.of(logits, parent)
    if shortfall := parity.shortfall(kind):
        raise ModelError(f"{path}: wrong answers on the golden samples: {shortfall}")

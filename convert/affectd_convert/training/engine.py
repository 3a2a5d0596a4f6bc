"""What runs the steps of a training run: Keras itself, or a PyTorch twin of the Keras model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from affectd_convert.errors import TrainingError
from affectd_convert.training.plan import Plan

FloatArray = NDArray[np.float32]

CPU_INFO = Path("/proc/cpuinfo")
"""Names what the processor has: avx512_bf16 and amx_bf16 of x86, bf16 of Arm."""


class Engine(Protocol):
    """A network in training, with its optimizer."""

    suffix: str
    """Of the files that `save` writes."""

    def step(self, inputs: FloatArray, targets: FloatArray, rate: float) -> float:
        """Learn from one batch of inputs (n, ...) and target distributions (n, labels); return the loss."""

    def logits(self, inputs: FloatArray) -> FloatArray:
        """Return logits (n, labels) for inputs (n, ...), without learning."""

    def settle(self, originals: Iterable[FloatArray]) -> None:
        """Take the batch normalization's statistics anew from batches of inputs not augmented."""

    def save(self, path: Path) -> None:
        """Write all that is needed to go on."""

    def keras_model(self) -> Any:
        """Return the Keras model with the weights learnt."""


def fastest() -> str:
    """Name the engine for networks of convolutions: torch where it is installed."""
    return "keras" if find_spec("torch") is None else "torch"


def fastest_precision() -> str:
    """Name the precision to train faces in: bfloat16 where GPU or processor has it; elsewhere it is emulated."""
    return "mixed_bfloat16" if _has_gpu() or _processor_has_bfloat16() else "float32"


def _has_gpu() -> bool:
    if find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def _processor_has_bfloat16() -> bool:
    try:
        return "bf16" in CPU_INFO.read_text()
    except OSError:
        return False


def load(name: str) -> None:
    """Load what an engine must have before TensorFlow: PyTorch's compiler, Triton, crashes the process after it."""
    if name == "torch" and find_spec("triton") is not None:
        import_module("triton._C.libtriton")


def start(name: str, build: Callable[[], Any], plan: Plan, checkpoint: Path | None) -> Engine:
    """Make the engine called `name` for a new model, or for the one in `checkpoint`.

    Raises TrainingError when there is no such engine here.
    """
    if name == "keras":
        from affectd_convert.training.keras_engine import KerasEngine

        return KerasEngine(build, plan, checkpoint)
    if name == "torch":
        try:
            from affectd_convert.training.torch_engine import TorchEngine
        except ImportError as error:
            raise TrainingError(
                "engine torch: PyTorch is not installed; 'pip install torch' or --engine keras"
            ) from error
        return TorchEngine(build, plan, checkpoint)
    raise TrainingError(f"engine {name!r}: not known; one of keras, torch")

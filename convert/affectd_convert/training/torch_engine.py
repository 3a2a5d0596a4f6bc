"""Training by a PyTorch twin of a Keras model: a third faster where the processor has bfloat16, and on GPUs.

The twin takes the Keras model's layers one by one, and gives its weights back at the end.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from affectd_convert.errors import TrainingError
from affectd_convert.training.damaged import reading
from affectd_convert.training.plan import Plan
from affectd_convert.training.small_convolution import SmallConvolution
from affectd_convert.training.torch_layers import (
    AVERAGING,
    from_keras,
    modules_with_weights,
    sgd,
    take_average,
    to_keras,
)

FloatArray = NDArray[np.float32]

CLIMBING = 0.5
"""Share of a batch by which the uphill step is measured: half, to save time; Foret et al. 2021 take all of it."""
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Of mallopt(3)."""


class TorchEngine:
    """The twin in training, and the running average of its weights."""

    suffix = ".pt"

    def __init__(self, build: Callable[[], Any], plan: Plan, checkpoint: Path | None) -> None:
        if plan.optimizer != "sgd":
            raise TrainingError(f"optimizer {plan.optimizer!r}: the torch engine has sgd only; take --engine keras")
        torch.manual_seed(plan.seed)
        _keep_freed_memory()
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._random: Any = torch.cuda if self._device.type == "cuda" else torch
        self._bfloat16 = plan.precision == "mixed_bfloat16"
        self._clip_norm = plan.clip_norm
        self._sharpness = plan.sharpness
        self._keras = build()
        self._learning, self._average = (_twin(self._keras).to(self._device) for _ in range(2))
        self._learning.train()
        self._average.eval()
        self._optimizer = sgd(self._learning, plan)
        self._steps = 0
        if checkpoint is not None:
            with reading(checkpoint):
                self._go_on_from(torch.load(checkpoint, map_location=self._device, weights_only=True))

    def step(self, inputs: FloatArray, targets: FloatArray, rate: float) -> float:
        """Learn from one batch; the loss is that of the weights before it, not of those uphill."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        if self._sharpness:
            some = round(len(inputs) * CLIMBING)
            loss = self._differentiate(inputs[:some], targets[:some])
            with self._uphill():
                self._differentiate(inputs, targets)
        else:
            loss = self._differentiate(inputs, targets)
        nn.utils.clip_grad_norm_(self._learning.parameters(), self._clip_norm)
        self._optimizer.step()
        self._steps += 1
        take_average(self._average, self._learning, AVERAGING, self._steps)
        return loss

    def logits(self, inputs: FloatArray) -> FloatArray:
        """Return the averaged network's logits."""
        with torch.inference_mode():
            parts = [self._run(self._average, inputs[i : i + 256]).cpu().numpy() for i in range(0, len(inputs), 256)]
        return np.concatenate(parts)

    def settle(self, originals: Iterable[FloatArray]) -> None:
        """Take the averaged network's batch statistics anew."""
        self._average.train()
        with torch.no_grad():
            for inputs in originals:
                self._run(self._average, inputs)
        self._average.eval()

    def save(self, path: Path) -> None:
        """Write both networks and the optimizer."""
        state = {
            "learning": self._learning.state_dict(),
            "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "steps": self._steps,
            "random": {self._device.type: self._random.get_rng_state()},
        }
        torch.save(state, path)

    def keras_model(self) -> Any:
        """Return the Keras model, the averaged weights put into it."""
        for layer, module in zip(_with_weights(self._keras), modules_with_weights(self._average), strict=True):
            layer.set_weights(to_keras(module))
        return self._keras

    def _go_on_from(self, state: Mapping[str, Any]) -> None:
        self._learning.load_state_dict(state["learning"])
        self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._steps = state["steps"]
        # What dropout draws from; older checkpoints have none, and one of a GPU fits no processor.
        random = state.get("random", {}).get(self._device.type)
        if random is not None:
            self._random.set_rng_state(random.cpu())

    def _differentiate(self, inputs: FloatArray, targets: FloatArray) -> float:
        """Leave the gradients of a batch's loss in the parameters; return the loss."""
        self._optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(
            self._run(self._learning, inputs), torch.from_numpy(targets).to(self._device)
        )
        loss.backward()
        return float(loss.item())

    @contextmanager
    def _uphill(self) -> Iterator[None]:
        """Move the weights along their gradients by `sharpness`, and back; batch statistics stay meanwhile."""
        parameters = list(self._learning.parameters())
        before = [parameter.detach().clone() for parameter in parameters]
        normalizations = [module for module in self._learning if isinstance(module, nn.BatchNorm2d)]
        momentum = [module.momentum for module in normalizations]
        norm = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in parameters]))
        with torch.no_grad():
            for parameter in parameters:
                parameter.add_(parameter.grad, alpha=self._sharpness / (float(norm) + 1e-12))
        for module in normalizations:
            module.momentum = 0.0
        yield
        with torch.no_grad():
            for parameter, value in zip(parameters, before, strict=True):
                parameter.copy_(value)
        for module, kept in zip(normalizations, momentum, strict=True):
            module.momentum = kept

    def _run(self, network: nn.Module, inputs: FloatArray) -> torch.Tensor:
        """Return float32 logits for inputs (n, height, width, channels)."""
        images = torch.from_numpy(np.ascontiguousarray(inputs)).permute(0, 3, 1, 2).to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            logits: torch.Tensor = network(images.contiguous(memory_format=torch.channels_last))
        return logits.float()


def _keep_freed_memory() -> None:
    """Tell glibc to keep freed memory: asking the kernel for the same pages again takes a third of every step."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**28)):
            mallopt(option, value)


def _twin(model: Any) -> nn.Sequential:
    """Build the same network of PyTorch modules, weights included. Raises TrainingError on a layer it has not."""
    modules: list[nn.Module] = []
    channels = int(model.input_shape[-1])
    for layer in model.layers[1:]:
        made, channels = _translate(layer, channels)
        modules += made
    twin = nn.Sequential(*modules)
    for layer, module in zip(_with_weights(model), modules_with_weights(twin), strict=True):
        from_keras(module, layer.get_weights())
    for module in twin.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)
    return twin


def _translate(layer: Any, channels: int) -> tuple[list[nn.Module], int]:
    """Return the modules of one Keras layer, and how many channels come out of them."""
    kind = type(layer).__name__
    if kind == "Conv2D":
        side = layer.kernel_size[0]
        if side == 3 and not layer.use_bias:
            return [SmallConvolution(channels, layer.filters)], layer.filters
        return [nn.Conv2d(channels, layer.filters, side, padding=side // 2, bias=layer.use_bias)], layer.filters
    if kind == "BatchNormalization":
        return [nn.BatchNorm2d(channels, eps=layer.epsilon, momentum=1 - layer.momentum)], channels
    if kind == "ReLU":
        return [nn.ReLU(inplace=True)], channels
    if kind == "MaxPooling2D":
        return [nn.MaxPool2d(layer.pool_size, ceil_mode=layer.padding == "same")], channels
    if kind == "GlobalAveragePooling2D":
        return [nn.AdaptiveAvgPool2d(1), nn.Flatten()], channels
    if kind == "Dropout":
        return [nn.Dropout(layer.rate)], channels
    if kind == "Dense":
        activation = {"relu": [nn.ReLU(inplace=True)], "linear": []}[layer.activation.__name__]
        return [nn.Linear(channels, layer.units), *activation], layer.units
    raise TrainingError(f"layer {layer.name} ({kind}): the torch engine has no such layer; take --engine keras")


def _with_weights(model: Any) -> list[Any]:
    return [layer for layer in model.layers if layer.weights]

"""The networks of `architectures/vgg16.py` as PyTorch modules, layer for layer, and how one of them learns."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from affectd.events import LABELS
from affectd_convert.architectures import vgg16
from affectd_convert.training.on_gpu.schedule import DROPOUT, WIDTHS
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

AVERAGED_BATCH = 128
"""Faces of a step that AVERAGING is for; of larger batches one step stands for several."""


def build(name: str) -> nn.Sequential:
    """Return a new network, (n, 1, side, side) to logits (n, 7), its weights drawn as Keras draws them."""
    widths = WIDTHS[name]
    modules: list[nn.Module] = []
    channels = 1
    for filters, convolutions in zip(widths.blocks, vgg16.CONVOLUTIONS, strict=True):
        for _ in range(convolutions):
            modules += [
                SmallConvolution(channels, filters),
                nn.BatchNorm2d(filters, eps=1e-5, momentum=0.05),
                nn.ReLU(inplace=True),
            ]
            channels = filters
        modules.append(nn.MaxPool2d(2, ceil_mode=True))
    modules += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    for _ in range(2):
        modules += [nn.Linear(channels, widths.dense), nn.ReLU(inplace=True), nn.Dropout(DROPOUT[name])]
        channels = widths.dense
    logits = nn.Linear(channels, len(LABELS))
    network = nn.Sequential(*modules, logits)
    for module in network:
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.xavier_uniform_(logits.weight)
    return network.to(memory_format=torch.channels_last)


def weights_of(network: nn.Sequential) -> dict[str, NDArray[Any]]:
    """Return the weights in the order and layout of the Keras layers; kernels in float16, which halves the file."""
    return {
        f"{layer:03d}.{number}": values.astype(np.float16) if values.ndim > 1 else values
        for layer, module in enumerate(modules_with_weights(network))
        for number, values in enumerate(to_keras(module))
    }


def with_weights(name: str, weights: dict[str, NDArray[Any]], device: torch.device) -> nn.Sequential:
    """Return the network with what `weights_of` returned, to answer."""
    network = build(name)
    for layer, module in enumerate(modules_with_weights(network)):
        from_keras(module, [weights[key] for key in sorted(weights) if key.startswith(f"{layer:03d}.")])
    return network.to(device).eval()


class Learner:
    """A network in training on a device, its optimizer, and the running average of its weights."""

    def __init__(self, name: str, plan: Plan, device: torch.device) -> None:
        self.name = name
        self._clip_norm = plan.clip_norm
        self._bfloat16 = plan.precision == "mixed_bfloat16"
        self._decay = AVERAGING ** (plan.batch_size / AVERAGED_BATCH)
        self._learning = build(name).to(device).train()
        self._average = copy.deepcopy(self._learning).eval()
        self._optimizer = sgd(self._learning, plan)
        self._steps = 0

    def step(self, inputs: torch.Tensor, targets: torch.Tensor, rate: float) -> torch.Tensor:
        """Learn from inputs (n, 1, side, side) and target distributions (n, 7); return the loss, still on the GPU."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(logits_of(self._learning, inputs, bfloat16=self._bfloat16), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(self._learning.parameters(), self._clip_norm)
        self._optimizer.step()
        self._steps += 1
        take_average(self._average, self._learning, self._decay, self._steps)
        return loss.detach()

    def answers(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the averaged network's logits."""
        with torch.no_grad():
            return logits_of(self._average, inputs, bfloat16=self._bfloat16)

    def settle(self, originals: Iterable[torch.Tensor]) -> None:
        """Take the averaged network's batch statistics anew."""
        self._average.train()
        for inputs in originals:
            self.answers(inputs)
        self._average.eval()

    def weights(self) -> dict[str, NDArray[Any]]:
        """Return the averaged network's weights for Keras."""
        return weights_of(self._average)

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on."""
        return {
            "learning": self._learning.state_dict(),
            "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "steps": self._steps,
        }

    def go_on(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self._learning.load_state_dict(state["learning"])
        self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._steps = state["steps"]


def logits_of(network: Any, inputs: torch.Tensor, *, bfloat16: bool) -> torch.Tensor:
    """Return a network's float32 logits."""
    with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bfloat16):
        logits: torch.Tensor = network(inputs.contiguous(memory_format=torch.channels_last))
    return logits.float()

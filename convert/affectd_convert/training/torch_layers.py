"""PyTorch modules and the Keras layers they stand for: their weights to and fro, and how they learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from affectd_convert.training.plan import Plan

AVERAGING = 0.998
"""Decay a step of the weights' running average, which is what is validated and kept (Polyak & Juditsky 1992)."""


def modules_with_weights(twin: nn.Sequential) -> list[nn.Module]:
    """Return the modules that learn, in their order, which is that of the Keras model's layers with weights."""
    return [module for module in twin if any(True for _ in module.parameters())]


def from_keras(module: Any, weights: list[NDArray[Any]]) -> None:
    """Put a Keras layer's weights into its module."""
    if isinstance(module, nn.BatchNorm2d):
        tensors = [module.weight, module.bias, module.running_mean, module.running_var]
    else:
        # Keras: height, width, in, out; PyTorch: out, in, height, width.
        weights = [weights[0].transpose((3, 2, 0, 1) if weights[0].ndim == 4 else (1, 0)), *weights[1:]]
        tensors = [module.weight, module.bias][: len(weights)]
    with torch.no_grad():
        for tensor, values in zip(tensors, weights, strict=True):
            tensor.copy_(torch.from_numpy(np.array(values, np.float32)))


def to_keras(module: Any) -> list[NDArray[np.float32]]:
    """Return a module's weights as its Keras layer takes them."""
    if isinstance(module, nn.BatchNorm2d):
        tensors = [module.weight, module.bias, module.running_mean, module.running_var]
    else:
        kernel = module.weight.permute((2, 3, 1, 0) if module.weight.ndim == 4 else (1, 0))
        tensors = [kernel] if module.bias is None else [kernel, module.bias]
    return [tensor.detach().float().cpu().numpy() for tensor in tensors if tensor is not None]


def sgd(network: nn.Module, plan: Plan) -> torch.optim.SGD:
    """SGD with Nesterov momentum; biases and batch normalization do not decay."""
    decaying = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim == 1]
    groups = [{"params": decaying, "weight_decay": plan.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=plan.peak_rate, momentum=0.9, nesterov=True, fused=True)


def take_average(average: nn.Module, learning: nn.Module, decay: float, steps: int) -> None:
    """Move the running average towards what was learnt in `steps` steps by now."""
    # Early on the average would still be the beginning.
    weight = 1 - min(decay, (1 + steps) / (10 + steps))
    both = zip(average.state_dict().values(), learning.state_dict().values(), strict=True)
    kept, learnt = zip(*((old, new) for old, new in both if old.is_floating_point()), strict=True)
    with torch.no_grad():
        # All at once: one by one the calls take longer than the work on a GPU.
        torch._foreach_lerp_(kept, learnt, weight)

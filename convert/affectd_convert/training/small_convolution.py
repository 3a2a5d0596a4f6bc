"""3x3 convolutions of small pictures as matrix products, for processors with bfloat16.

Of pictures of three to six pixels a side, oneDNN's bfloat16 convolutions take twice as long as one product of all
neighbourhoods with all weights, and their weights' gradients five to ten times: measured on an Intel Xeon with AMX.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

SMALL = 6 * 6
"""Pixels up to which the products are faster; laying out the neighbourhoods of larger pictures costs what they gain."""


class SmallConvolution(nn.Conv2d):  # type: ignore[misc] # torch is not there for mypy
    """A Conv2d of a 3x3 kernel, padded by 1 and without bias, that computes small pictures by products in bfloat16."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__(channels, filters, 3, padding=1, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return (n, filters, height, width) for images (n, channels, height, width), both channels_last."""
        small = images.shape[2] * images.shape[3] <= SMALL
        if small and images.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            product: torch.Tensor = _Product.apply(images, self.weight)
            return product
        return super().forward(images)


class _Product(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        seen = _neighbourhoods(images.bfloat16())
        ctx.save_for_backward(seen, weight)
        ctx.shape = images.shape
        return _pictures(nn.functional.linear(seen, _rows(weight)), images.shape)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        seen, weight = ctx.saved_tensors
        filters, channels = weight.shape[:2]
        arriving = gradient.permute(0, 2, 3, 1).reshape(-1, filters)
        of_weight = (arriving.t().contiguous() @ seen).view(filters, 3, 3, channels).permute(0, 3, 1, 2)
        # What a pixel gave to its neighbours comes back through the kernel turned by half a circle.
        half = weight.bfloat16()
        turned = torch.cat([half[:, :, row, column] for row in (2, 1, 0) for column in (2, 1, 0)])
        return _pictures(_neighbourhoods(gradient) @ turned, ctx.shape), of_weight.to(weight.dtype)


def _rows(weight: torch.Tensor) -> torch.Tensor:
    """Lay out weights (filters, channels, 3, 3) as (filters, 9 x channels), in the order of `_neighbourhoods`."""
    return weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1).bfloat16()


def _neighbourhoods(images: torch.Tensor) -> torch.Tensor:
    """Return every pixel's 3x3 neighbours: (n, channels, height, width) to (n x height x width, 9 x channels)."""
    n, channels, height, width = images.shape
    padded = nn.functional.pad(images.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).contiguous()
    picture, row, pixel, _ = padded.stride()
    seen = padded.as_strided((n, height, width, 3, 3 * channels), (picture, row, pixel, row, 1))
    return seen.reshape(n * height * width, 9 * channels)


def _pictures(rows: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Return rows of pixels (n x height x width, channels) as pictures (n, channels, height, width), channels_last."""
    n, _, height, width = shape
    return rows.view(n, height, width, -1).permute(0, 3, 1, 2)

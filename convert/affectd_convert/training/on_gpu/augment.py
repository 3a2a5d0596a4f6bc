"""Augmented faces made on the GPU, a batch at once, and prepared there as `affectd.face.preprocess` does it.

Equalization gives the levels of OpenCV's equalizeHist to the last one: `scripts/prove-train-on-gpu` holds it against
the device's own code on every face.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch.nn import functional

from affectd.face.preprocess import FacePreprocessing
from affectd_convert.training.degraded_faces import BLUR_SHARE, JPEG_QUALITY, LIGHT, NOISE_LEVELS, PIXELS_SHARE
from affectd_convert.training.face_batches import FaceAugmentation

ERASED = (0.15, 0.4)
"""Sides of an erased rectangle, of the picture's."""
OFFSET = 20.0
"""Levels by which a face is made lighter or darker at most, besides its contrast."""
_BLOCK = 8
"""Pixels a side that JPEG codes together."""
_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)
"""Steps that JPEG rounds to at quality 50 (ITU-T T.81, table K.1)."""


class View(NamedTuple):
    """One look at a batch of faces, (n, 1, size, size) float32 both."""

    seen: torch.Tensor
    """What a network learns from."""
    clear: torch.Tensor
    """The same before anything was degraded or erased: what teachers answer."""


def view(faces: torch.Tensor, size: int, how: FaceAugmentation, preprocessing: FacePreprocessing) -> View:
    """Return faces (n, side, side) uint8 as `FaceBatches` would show them; the rows are in random order."""
    levels = warped(faces, size, how)
    clear = prepared(levels, preprocessing)
    # Any rows are as good as these, and a slice needs no waiting for the GPU.
    worse = round(how.degraded * len(levels)) // len(WAYS) * len(WAYS)
    seen = torch.cat([prepared(degraded(levels[:worse]), preprocessing), clear[worse:]]) if worse else clear
    return View(erased(seen, how.erase), clear)


def prepared(levels: torch.Tensor, preprocessing: FacePreprocessing) -> torch.Tensor:
    """Return grey levels (n, size, size) uint8 as the network takes them, (n, 1, size, size) float32."""
    if preprocessing.equalize:
        levels = equalized(levels)
    return ((levels.float() - preprocessing.mean) / preprocessing.std).unsqueeze(1)


def equalized(levels: torch.Tensor) -> torch.Tensor:
    """Return each of the pictures (n, height, width) uint8 with its histogram equalized, level for level as OpenCV.

    The darkest level that occurs becomes 0, and others the share of the rest that is not lighter, of 255; a picture of
    one level stays as it is.
    """
    flat = levels.flatten(1).long()
    counts = torch.zeros((len(flat), 256), dtype=torch.long, device=levels.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat))
    darkest = (counts > 0).int().argmax(dim=1, keepdim=True)
    rest = flat.shape[1] - counts.gather(1, darkest)
    scale = torch.full_like(rest, 255, dtype=torch.float32) / rest.clamp(min=1)
    above = (counts.cumsum(1) - counts.gather(1, darkest)).clamp(min=0)
    table = (above.float() * scale).round().clamp(max=255)
    table = torch.where(rest > 0, table, darkest.float())
    return table.gather(1, flat).to(torch.uint8).view_as(levels)


def warped(faces: torch.Tensor, size: int, how: FaceAugmentation) -> torch.Tensor:
    """Turn, scale, shift, flip and lighten faces (n, side, side) uint8, straight into (n, size, size) uint8."""
    angle = torch.deg2rad(_uniform(faces, -how.rotation_deg, how.rotation_deg))
    zoom = _uniform(faces, 1 - how.zoom_out, 1 + how.zoom_in)
    # From where a pixel goes to where it comes from: all the other way round.
    cosine, sine = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    flipped = torch.where(_uniform(faces, 0, 1) < 0.5, -1.0, 1.0)
    across, down = (2 * _uniform(faces, -how.shift, how.shift) / zoom for _ in range(2))
    rows = [torch.stack([cosine * flipped, -sine, across], 1), torch.stack([sine * flipped, cosine, down], 1)]
    grid = functional.affine_grid(torch.stack(rows, 1), [len(faces), 1, size, size], align_corners=False)
    moved = functional.grid_sample(faces.unsqueeze(1).float(), grid, padding_mode="border", align_corners=False)
    gain = _uniform(faces, 1 - how.contrast, 1 + how.contrast).view(-1, 1, 1)
    # A picture has whole levels before it is lightened: rounded, as OpenCV does, and then cut off, as NumPy does.
    levels = moved.squeeze(1).round() * gain + (_uniform(faces, -OFFSET, OFFSET).view(-1, 1, 1) if how.contrast else 0)
    return levels.clamp(0, 255).to(torch.uint8)


def degraded(levels: torch.Tensor) -> torch.Tensor:
    """Return pictures (n, size, size) uint8 degraded in the ways of `degraded_faces`, equally many in each."""
    parts = levels.float().chunk(len(WAYS))
    made = torch.cat([way(part) for way, part in zip(WAYS, parts, strict=False)])
    return made.round().clamp(0, 255).to(torch.uint8)


def erased(inputs: torch.Tensor, share: float) -> torch.Tensor:
    """Put noise into a rectangle of that share of the inputs (n, 1, size, size)."""
    size, device = inputs.shape[-1], inputs.device
    line = torch.arange(size, device=device)

    def stretch() -> torch.Tensor:
        length = (_uniform(inputs, *ERASED) * size).floor()
        first = (_uniform(inputs, 0, 1) * (size - length)).floor()
        return (line >= first[:, None]) & (line < (first + length)[:, None])

    hidden = stretch()[:, :, None] & stretch()[:, None, :] & (_uniform(inputs, 0, 1) < share)[:, None, None]
    return torch.where(hidden.unsqueeze(1), torch.randn_like(inputs), inputs)


def mixed(inputs: torch.Tensor, targets: torch.Tensor, alpha: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend inputs (n, ...) and targets (n, labels) alike, by shares drawn from Beta(alpha, alpha)."""
    others = torch.randperm(len(inputs), device=inputs.device)
    share = torch.distributions.Beta(alpha, alpha).sample((len(inputs),)).to(inputs.device)
    of_input, of_target = share.view(-1, 1, 1, 1), share.view(-1, 1)
    return (
        of_input * inputs + (1 - of_input) * inputs[others],
        of_target * targets + (1 - of_target) * targets[others],
    )


def _blur(levels: torch.Tensor) -> torch.Tensor:
    size = levels.shape[-1]
    line = torch.arange(size, device=levels.device, dtype=torch.float32)
    apart = (line[:, None] - line).square()

    def smear() -> torch.Tensor:
        deviation = (_uniform(levels, *BLUR_SHARE) * size).view(-1, 1, 1)
        return torch.softmax(-apart / (2 * deviation.square()), dim=2)

    return smear() @ levels @ smear().transpose(1, 2)


def _darken(levels: torch.Tensor) -> torch.Tensor:
    light = torch.exp(_uniform(levels, *np.log(LIGHT).tolist())).view(-1, 1, 1)
    dark = levels * light
    brightest = dark.amax(dim=(1, 2), keepdim=True).clamp(min=1)
    noise = _uniform(levels, *NOISE_LEVELS).view(-1, 1, 1) * (0.5 + 0.5 * (dark / brightest).sqrt())
    return dark + noise * torch.randn_like(dark)


def _compress(levels: torch.Tensor) -> torch.Tensor:
    return compressed(levels, _uniform(levels, *JPEG_QUALITY).view(-1, 1, 1))


def compressed(levels: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """Return pictures (n, size, size) as JPEG of `quality` (n, 1, 1), up to 50, leaves them; size divisible by 8."""
    blocks = levels.shape[-1] // _BLOCK
    one = cv2.dct(np.eye(_BLOCK), flags=cv2.DCT_ROWS).T
    cosines = torch.from_numpy(np.kron(np.eye(blocks), one)).float().to(levels.device)
    # As libjpeg scales its table.
    steps = torch.from_numpy(np.tile(_LUMINANCE, (blocks, blocks))).to(levels.device) * (50 / quality)
    steps = steps.round().clamp(1, 255)
    coded = ((cosines @ (levels - 128) @ cosines.T) / steps).round() * steps
    return cosines.T @ coded @ cosines + 128


def _move_away(levels: torch.Tensor) -> torch.Tensor:
    size = levels.shape[-1]
    ways = _smaller(size).to(levels.device)
    way = ways[torch.randint(len(ways), (len(levels),), device=levels.device)]
    return way @ levels @ way.transpose(1, 2)


@cache
def _smaller(size: int) -> torch.Tensor:
    """Return what shrinking to each of the sides of PIXELS_SHARE and enlarging again does to a column of pixels."""
    sides = range(round(PIXELS_SHARE[0] * size), round(PIXELS_SHARE[1] * size) + 1)
    column = np.eye(size, dtype=np.float32)
    small = [cv2.resize(column, (size, side), interpolation=cv2.INTER_AREA) for side in sides]
    large = [cv2.resize(one, (size, size), interpolation=cv2.INTER_LINEAR) for one in small]
    return torch.from_numpy(np.stack(large))


WAYS: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = (_blur, _darken, _compress, _move_away)


def _uniform(like: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Return a number for each row of `like`, drawn evenly."""
    return low + (high - low) * torch.rand(len(like), device=like.device)

"""Training faces as a cheap camera in a bad place would have taken them: blurred, dark, compressed, far away.

The robustness table (`robustness/faces.py`) makes its own, at set levels; these are drawn from wide ranges and made
otherwise, so that a network is not judged on the very pictures' making that it has learnt.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

GrayImage = NDArray[np.uint8]

BLUR_SHARE = (0.006, 0.045)
"""Deviation of a Gaussian along each axis, of the face's side; unequal ones smear as motion does."""
LIGHT = (0.07, 0.5)
"""Share of the levels that a dark picture still uses."""
NOISE_LEVELS = (1.0, 4.0)
"""Deviation of a dark picture's noise at its brightest; half of it remains in the black."""
JPEG_QUALITY = (8, 50)
PIXELS_SHARE = (0.45, 0.9)
"""Side of a face far away, of the side it is enlarged to."""


def degrade(face: GrayImage, rng: np.random.Generator) -> GrayImage:
    """Return a face (side, side) degraded in one of four ways, the same shape."""
    return np.asarray(WAYS[int(rng.integers(len(WAYS)))](face, rng), np.uint8)


def _blur(face: GrayImage, rng: np.random.Generator) -> GrayImage:
    across, down = rng.uniform(*BLUR_SHARE, 2) * face.shape[0]
    return np.asarray(cv2.GaussianBlur(face, (0, 0), across, sigmaY=down, borderType=cv2.BORDER_REPLICATE), np.uint8)


def _darken(face: GrayImage, rng: np.random.Generator) -> GrayImage:
    dark = face * np.float32(np.exp(rng.uniform(*np.log(LIGHT))))
    noise = rng.uniform(*NOISE_LEVELS) * (0.5 + 0.5 * np.sqrt(dark / max(float(dark.max()), 1.0)))
    return np.asarray(np.clip(np.rint(dark + noise * rng.standard_normal(face.shape)), 0, 255), np.uint8)


def _compress(face: GrayImage, rng: np.random.Generator) -> GrayImage:
    _, coded = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*JPEG_QUALITY))])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)


def _move_away(face: GrayImage, rng: np.random.Generator) -> GrayImage:
    side = round(rng.uniform(*PIXELS_SHARE) * face.shape[0])
    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, face.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


WAYS = (_blur, _darken, _compress, _move_away)

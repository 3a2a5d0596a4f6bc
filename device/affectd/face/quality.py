"""How far a face crop can be trusted, 0..1: size, sharpness, pose and exposure."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.face.preprocess import GrayImage

GOOD_SIDE = 64
"""Pixels of a face's side from which size no longer matters: the network sees 48."""
FRONTAL = 0.45
LEAST_SYMMETRY = 0.3
"""On 1,500 PublicTest faces a VGG16 of 61 % was right on 0.59 to 0.68 from a correlation of 0.4 on, and on 0.51
to 0.58 below: a turned face is worth less, not nothing."""
SIDE = 48
"""Side at which the picture is judged, so that all measures mean the same for all faces."""


def face_quality(crop: GrayImage) -> float:
    """Give size x sharpness x symmetry x exposure of a square grey crop, each 0..1.

    Each part is 1 for an ordinary good face, so one bad part alone pulls the quality down.
    """
    side = min(crop.shape)
    size = min(1.0, side / GOOD_SIDE)
    face = np.asarray(cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)
    return float(size * _sharpness(face) * _symmetry(face) * _exposure(face))


def _sharpness(face: NDArray[np.float32]) -> float:
    """Variance of the Laplacian (Pech-Pacheco 2000) over the picture's variance, so that contrast cancels.

    0.15 is a face blurred by 0.7 pixels of the network's input; faces in focus have 0.3 and more.
    """
    variance = float(face.var())
    if variance < 1.0:
        return 0.0
    return min(1.0, float(cv2.Laplacian(face, cv2.CV_32F).var()) / variance / 0.15)


def _symmetry(face: NDArray[np.float32]) -> float:
    """Correlation of the face with its mirror image: high from the front, low from the side or half covered."""
    smooth = cv2.GaussianBlur(face, (0, 0), 2.0)
    # A lamp at one side is a slope in brightness, not a turned head.
    ramp = np.linspace(-1.0, 1.0, SIDE, dtype=np.float32)
    level = smooth - smooth.mean()
    level = level - ramp * float((level * ramp).sum() / (SIDE * (ramp * ramp).sum()))
    power = float((level * level).sum())
    if power < 1.0:
        return 0.0
    correlation = float((level * level[:, ::-1]).sum()) / power
    return float(np.clip(correlation / FRONTAL, LEAST_SYMMETRY, 1.0))


def _exposure(face: NDArray[np.float32]) -> float:
    """Contrast (32 grey levels of deviation suffice), less the share of black and blown-out pixels."""
    clipped = float(np.mean((face <= 4) | (face >= 251)))
    return min(1.0, float(face.std()) / 32.0) * (1.0 - clipped)

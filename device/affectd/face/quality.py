"""How far a face crop can be trusted, 0..1: size, sharpness, pose, exposure, and whether eyes and mouth are seen."""

from __future__ import annotations

import math

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
SHARP = 0.04
"""Measure of sharpness from which a face is in focus: nineteen of twenty PublicTest faces have more."""
NOISE_SIGMA = 0.8
"""Deviation of the Gaussian, pixels of SIDE, that keeps the noise of a dim picture from looking like detail."""
MOUTH = (slice(28, 44), slice(10, 38))
EYES = (slice(14, 22), slice(8, 20)), (slice(14, 22), slice(28, 40))
MIDDLE = (slice(10, 46), slice(6, 42))
"""Rows and columns of a face of SIDE by SIDE."""
_RAMP = np.linspace(-1.0, 1.0, SIDE, dtype=np.float32)
COVERED, BARE = 0.3, 0.45
"""Detail of mouth or eyes over the middle's, up to which they are covered and from which they are not."""
LEAST_MOUTH, LEAST_EYES = 0.12, 0.4
"""What is left with the mouth or the eyes covered: the quality that a blur has which costs as much (of PublicTest
with masks drawn 40 % are classified right, with sunglasses 56 %)."""


def face_quality(crop: GrayImage) -> float:
    """Return size x sharpness x symmetry x exposure x bareness of a square grey crop, each 0..1.

    Each part is 1 for an ordinary good face, so one bad part alone pulls the quality down.
    """
    side = min(crop.shape)
    size = min(1.0, side / GOOD_SIDE)
    face = np.asarray(cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)
    return float(size * _sharpness(face) * _symmetry(face) * _exposure(face) * _bareness(face))


def _sharpness(face: NDArray[np.float32]) -> float:
    """Variance of the Laplacian (Pech-Pacheco 2000) of the smoothed face over the face's, so that contrast cancels."""
    variance = _deviation(face) ** 2
    if variance < 1.0:
        return 0.0
    smooth = cv2.GaussianBlur(face, (0, 0), NOISE_SIGMA)
    return min(1.0, _deviation(cv2.Laplacian(smooth, cv2.CV_32F)) ** 2 / variance / SHARP)


def _symmetry(face: NDArray[np.float32]) -> float:
    """Correlation of the face with its mirror image: high from the front, low from the side or half covered."""
    smooth = cv2.GaussianBlur(face, (0, 0), 2.0)
    # A lamp at one side is a slope in brightness, not a turned head.
    level = smooth - cv2.mean(smooth)[0]
    level -= _RAMP * float(level.sum(axis=0) @ _RAMP / (SIDE * (_RAMP @ _RAMP)))
    power = float(np.vdot(level, level))
    if power < 1.0:
        return 0.0
    correlation = float(np.vdot(level, cv2.flip(level, 1))) / power
    return min(1.0, max(LEAST_SYMMETRY, correlation / FRONTAL))


def _exposure(face: NDArray[np.float32]) -> float:
    """Contrast (32 grey levels of deviation suffice), less the share of black and blown-out pixels.

    Its root: a tenth of the light costs the network as much as a blur that takes two thirds of the sharpness.
    """
    clipped = np.count_nonzero((face <= 4) | (face >= 251)) / face.size
    return math.sqrt(min(1.0, _deviation(face) / 32.0)) * (1.0 - clipped)


def _bareness(face: NDArray[np.float32]) -> float:
    """Detail of the mouth and of the eyes over that of the face's middle: little where a mask or dark glasses cover.

    Detail is the median gradient, which the edge of a mask or a frame does not raise; what covers a mouth with as
    much detail as a mouth has, such as fingers, is not noticed.
    """
    smooth = cv2.GaussianBlur(face, (0, 0), 1.0)
    detail = cv2.magnitude(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    usual = cv2.mean(detail[MIDDLE])[0]
    if usual == 0:
        return 0.0
    mouth = _median(detail[MOUTH]) / usual
    eyes = sum(_median(detail[eye]) for eye in EYES) / len(EYES) / usual
    return float(
        np.interp(mouth, (COVERED, BARE), (LEAST_MOUTH, 1.0)) * np.interp(eyes, (COVERED, BARE), (LEAST_EYES, 1.0))
    )


def _deviation(values: NDArray[np.float32]) -> float:
    return float(cv2.meanStdDev(values)[1][0, 0])


def _median(values: NDArray[np.float32]) -> float:
    """Return the median of an even number of values; numpy's takes three times as long."""
    half = values.size // 2
    return float(np.partition(values, (half - 1, half), axis=None)[half - 1 : half + 1].mean())

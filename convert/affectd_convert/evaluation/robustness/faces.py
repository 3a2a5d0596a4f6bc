"""Ready face crops in adverse conditions: a trembling box, blur, low light, JPEG, few pixels.

No detector stands before them: `scenes.py` measures what reaches the network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

GrayImage = NDArray[np.uint8]
Condition = Callable[[GrayImage, np.random.Generator], GrayImage]

BOX_SHIFT, BOX_SCALE = 0.013, 0.047
"""Deviations of a Haar box's centre (in sides) and side: measured with the device's detector on one face that
was moved, scaled, lit otherwise and made noisy 150 times."""
BLURS = (1.0, 2.0)
"""Deviations of the Gaussian, pixels of a 48-pixel crop."""
LIGHTS = (0.25, 0.1)
"""Light on the sensor, as a share of that under which the face was taken."""
FULL_ELECTRONS, READ_ELECTRONS = 1000.0, 3.0
"""A small sensor at its gain for indoors: electrons at white, and noise of reading them."""
JPEG_QUALITIES = (30, 10)
SIDES = (40, 32, 24)
"""Pixels of a face far away."""


def conditions() -> dict[str, Condition]:
    """Return every condition by what the table calls it, in the table's order."""
    named: dict[str, Condition] = {}
    for times in (1, 2):
        much = "as measured" if times == 1 else "twice as much"
        named[f"Haar box jitter, {much}"] = _jittered(times * BOX_SHIFT, times * BOX_SCALE)
    for sigma in BLURS:
        named[f"blur, sigma {sigma:g} px"] = _blurred(sigma)
    for light in LIGHTS:
        named[f"low light, {light:.0%}, sensor noise"] = _dim(light)
    for quality in JPEG_QUALITIES:
        named[f"JPEG, quality {quality}"] = _jpeg(quality)
    for side in SIDES:
        named[f"small face, {side} px"] = _small(side)
    return named


def sensed(picture: NDArray[Any], light: float, rng: np.random.Generator) -> GrayImage:
    """Return what a small sensor makes of a picture (0..255) in a share of its light.

    Fewer photons: shot noise, read noise, and only the lowest of 256 levels.
    """
    expected = np.clip(picture, 0, 255) * (light * FULL_ELECTRONS / 255)
    electrons = rng.poisson(expected) + READ_ELECTRONS * rng.standard_normal(picture.shape)
    return np.asarray(np.clip(np.rint(electrons * (255 / FULL_ELECTRONS)), 0, 255), np.uint8)


def _jittered(shift: float, scale: float) -> Condition:
    """Cut the crop by a box that is off; beyond the border the edge repeats, as the device has it."""

    def condition(crop: GrayImage, rng: np.random.Generator) -> GrayImage:
        side = crop.shape[0]
        zoom = 1 / max(0.5, 1 + scale * rng.standard_normal())
        matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), 0.0, zoom)
        matrix[:, 2] += shift * side * rng.standard_normal(2)
        return np.asarray(cv2.warpAffine(crop, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE), np.uint8)

    return condition


def _blurred(sigma: float) -> Condition:
    def condition(crop: GrayImage, rng: np.random.Generator) -> GrayImage:  # noqa: ARG001
        return np.asarray(cv2.GaussianBlur(crop, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.uint8)

    return condition


def _dim(light: float) -> Condition:
    return lambda crop, rng: sensed(crop, light, rng)


def _jpeg(quality: int) -> Condition:
    def condition(crop: GrayImage, rng: np.random.Generator) -> GrayImage:  # noqa: ARG001
        _, coded = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_UNCHANGED), np.uint8)

    return condition


def _small(side: int) -> Condition:
    """Take away pixels; the device's preprocessing enlarges the crop again."""

    def condition(crop: GrayImage, rng: np.random.Generator) -> GrayImage:  # noqa: ARG001
        return np.asarray(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA), np.uint8)

    return condition

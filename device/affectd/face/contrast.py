"""Contrast for the face detector: OpenCV's cascade skips every window whose grey levels deviate by 10 or less."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.face.preprocess import GrayImage

LOW, HIGH = 0.01, 0.99
"""Shares of the pixels that are darker than the level that becomes black, and than the one that becomes white."""
MOST_OF_ONE_LEVEL = 1 / 256
"""Share of the pixels for which one grey level may count: before a plain wall the face is less than LOW."""
LEAST_RANGE = 16
"""Grey levels that are stretched to 256 at most: a covered lens gives the few levels of its noise."""
CLIP_LIMIT, TILES = 4.0, 4
"""Of the adaptive equalization: how steep it may become, and into how many parts each side is cut."""


def stretched(picture: GrayImage, sample: GrayImage) -> GrayImage:
    """Return `picture` with the grey levels of `sample`, a part of it or all, spread over black to white."""
    return np.asarray(cv2.LUT(picture, _spread(sample)), np.uint8)


def locally_stretched(picture: GrayImage) -> GrayImage:
    """Return a picture whose every part has contrast: a face before a bright window has none in a stretched one.

    Contrast-limited adaptive histogram equalization (Zuiderveld 1994) of the stretched picture.
    """
    equalizer = cv2.createCLAHE(CLIP_LIMIT, (TILES, TILES))
    return np.asarray(equalizer.apply(stretched(picture, picture)), np.uint8)


def _spread(sample: GrayImage) -> NDArray[np.uint8]:
    """Return the table (256) that brings the levels between LOW and HIGH of `sample` to 0..255."""
    counts = cv2.calcHist([sample], [0], None, [256], [0, 256]).ravel()
    below = np.cumsum(np.minimum(counts, max(1.0, sample.size * MOST_OF_ONE_LEVEL)))
    black, white = (int(level) for level in np.searchsorted(below, below[-1] * np.array([LOW, HIGH])))
    levels = np.arange(256) - black
    return np.clip(levels * (255.0 / max(white - black, LEAST_RANGE)), 0, 255).astype(np.uint8)

"""Contrast for the face detector: OpenCV's cascade skips every window whose grey levels deviate by 10 or less."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from affectd.face.preprocess import GrayImage

LOW, HIGH = 0.01, 0.99
"""Shares of the pixels that are darker than the level that becomes black, and than the one that becomes white."""
MOST_OF_ONE_LEVEL = 1 / 256
"""Share of the pixels for which one grey level may count: before a plain wall the face is less than LOW."""
LEAST_RANGE = 16
"""Grey levels that are stretched to 256 at most: a covered lens has only the few levels of its noise."""
CLIP_LIMIT, TILES = 4.0, 4
"""Of the adaptive equalization: how steep it may become, and into how many parts each side is cut."""


@dataclass(frozen=True, slots=True)
class Levels:
    """The grey levels that a picture uses."""

    black: int
    white: int

    @classmethod
    def of(cls, picture: GrayImage) -> Levels:
        """Return the levels below which LOW and HIGH of the pixels lie."""
        counts = cv2.calcHist([picture], [0], None, [256], [0, 256]).ravel()
        below = np.cumsum(np.minimum(counts, max(1.0, picture.size * MOST_OF_ONE_LEVEL)))
        return cls(*(int(level) for level in np.searchsorted(below, below[-1] * np.array([LOW, HIGH]))))

    def spread(self, picture: GrayImage) -> GrayImage:
        """Return the picture with these levels brought to 0..255, and what lies beyond them clipped."""
        gain = 255.0 / max(self.white - self.black, LEAST_RANGE)
        table = np.clip((np.arange(256) - self.black) * gain, 0, 255).astype(np.uint8)
        return np.asarray(cv2.LUT(picture, table), np.uint8)


def locally_stretched(picture: GrayImage) -> GrayImage:
    """Return a stretched picture whose every part has contrast: a face before a bright window has none otherwise.

    Contrast-limited adaptive histogram equalization (Zuiderveld 1994).
    """
    return np.asarray(cv2.createCLAHE(CLIP_LIMIT, (TILES, TILES)).apply(picture), np.uint8)

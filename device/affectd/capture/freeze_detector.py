"""Distinguishes a camera that has frozen, and repeats its last picture, from one before which nothing happens."""

from __future__ import annotations

from typing import Any

EVERY = 8
"""Every so many rows and columns are compared."""


class FreezeDetector:
    """Measures for how long the picture has been the same to the bit: a live one never is, its noise sees to that.

    One of one colour is never still: a caption's black bar may be one, and a blank picture is another fault.
    """

    def __init__(self) -> None:
        self._sample = b""
        self._since = 0.0

    def frozen_s(self, image: Any, at: float) -> float:
        """Take in a picture, (height, width[, 3]), captured at `at` (seconds, rising); 0.0 when it is another."""
        pixels = image[::EVERY, ::EVERY]
        sample = pixels.tobytes()
        if sample != self._sample or (pixels == pixels[0, 0]).all():
            self._sample, self._since = sample, at
        return at - self._since

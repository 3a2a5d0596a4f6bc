"""Pixels that are not square, as of analogue cameras and anamorphic streams, made square."""

from __future__ import annotations

import struct
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

SQUARE = Fraction(1)
WIDEST = Fraction(8)
"""Width over height of the widest pixel that is believed, and height over width of the highest: 480x1080 for 16:9 is
3.7, and beyond this a header is broken."""
LONGEST_SIDE = 4096
"""Pixels to which widening may bring a picture's longer side."""
JFIF_BYTES = 18
"""Of a JPEG, up to the densities in its JFIF segment, which is the first: units, 1 byte, and two of 2."""


def plausible_aspect(width: float, height: float) -> Fraction | None:
    """Return width over height of one pixel as a source signals it; None when it signals nothing or nonsense."""
    if not (1 <= width < 2**31 and 1 <= height < 2**31):
        return None
    aspect = Fraction(int(width), int(height))
    return aspect if 1 / WIDEST <= aspect <= WIDEST else None


def aspect_of_jpeg(jpeg: bytes) -> Fraction | None:
    """Return the pixel's aspect in a JPEG's first JFIF_BYTES; None when it has none.

    With units 0 the densities are an aspect. ITU-T T.871 has it as height to width; FFmpeg, which makes such streams,
    writes and reads width to height.
    """
    if len(jpeg) < JFIF_BYTES or jpeg[2:4] != b"\xff\xe0" or jpeg[6:11] != b"JFIF\0":
        return None
    units, width, height = struct.unpack_from(">BHH", jpeg, 13)
    return None if units else plausible_aspect(width, height)


def with_square_pixels(image: NDArray[np.uint8], aspect: Fraction) -> NDArray[np.uint8]:
    """Stretch a picture (height, width[, 3]) in its narrow direction; `aspect` is width over height of its pixels."""
    if aspect == SQUARE:
        return image
    rows, columns = image.shape[:2]
    width, height = columns * max(aspect, SQUARE), rows / min(aspect, SQUARE)
    fit = min(SQUARE, max(LONGEST_SIDE, rows, columns) / max(width, height))
    size = (max(1, round(width * fit)), max(1, round(height * fit)))
    if size == (columns, rows):
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)

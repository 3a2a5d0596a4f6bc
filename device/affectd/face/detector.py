"""What every face detector offers, and the shrunken picture that they share. One file for each: haar.py, blazeface.py.

A roll is the head's tilt in the picture, in degrees, clockwise positive; 0 where it is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.face.preprocess import GrayImage, PixelBox


@dataclass(frozen=True, slots=True, eq=False)
class SmallPicture:
    """A grey picture shrunk for detection."""

    pixels: GrayImage
    """(rows, columns)."""
    scale: float
    """Side in the full picture over side here; at least 1."""
    cells: NDArray[np.bool_] | None = None
    """Of any grid over it, those in which a full detection is to look; None: in all."""


@dataclass(frozen=True, slots=True)
class FoundFace:
    """A face that a detector found."""

    box: PixelBox
    """In pixels of the full picture, square and unturned; of the size and place of the boxes that the networks were
    trained on, which are those of OpenCV's cascade alt2."""
    roll_deg: float = 0.0


class FaceDetector(Protocol):
    """Finds faces in grey pictures. It keeps nothing between calls, so that several trackers can share it."""

    def shrink(self, gray: GrayImage) -> SmallPicture:
        """Shrink a grey picture (height, width) as far as the smallest face allows."""

    def detect(self, picture: SmallPicture, attempt: int, known: Sequence[FoundFace] = ()) -> list[FoundFace]:
        """Return all faces in the picture, largest first; of those that are followed already it may save the work.

        `attempt` counts the full detections from 0: a detector that has several ways of looking takes turns.
        """

    def attempts(self, picture: SmallPicture) -> int:
        """Return after how many attempts `detect` has looked everywhere and in every way."""

    def detect_near(self, picture: SmallPicture, near: FoundFace, *, ask_roll: bool = True) -> list[FoundFace]:
        """Return the faces of about the size and roll of `near` around its place, largest first.

        A fraction of the work of `detect`; without `ask_roll` the roll may stay that of `near`.
        """


def shrunken(gray: GrayImage, rows: int) -> SmallPicture:
    """Shrink a picture (height, width) to `rows`; one that has no more stays as it is."""
    height, width = gray.shape
    if rows >= height:
        return SmallPicture(gray, 1.0)
    scale = height / rows
    # Linear is exact averaging at half the size, the usual case, and much faster than INTER_AREA else.
    pixels = cv2.resize(gray, (max(1, round(width / scale)), rows), interpolation=cv2.INTER_LINEAR)
    return SmallPicture(np.asarray(pixels, np.uint8), scale)


def cut_around(picture: SmallPicture, box: PixelBox, margin: float) -> tuple[GrayImage, tuple[int, int]]:
    """Cut the region around `box` (full-picture pixels), wider by `margin` of its sides each way.

    Returns the region, clipped at the picture's border (maybe empty), and its left and top in the small picture.
    """
    x, y, width, height = (value / picture.scale for value in box)
    left, top = max(0, round(x - margin * width)), max(0, round(y - margin * height))
    right, bottom = max(left, round(x + (1 + margin) * width)), max(top, round(y + (1 + margin) * height))
    return picture.pixels[top:bottom, left:right], (left, top)


def overlap(a: PixelBox, b: PixelBox) -> float:
    """Return the intersection over union of two boxes, 0..1."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (a[2] * a[3] + b[2] * b[3] - width * height)


def largest_first(faces: Sequence[FoundFace]) -> list[FoundFace]:
    """Sort faces by the side of their boxes."""
    return sorted(faces, key=lambda face: face.box[2], reverse=True)

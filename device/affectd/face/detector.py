"""Faces in a grey picture by OpenCV's Haar cascade, on a copy just large enough for the smallest face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from affectd.errors import ModelError
from affectd.face.contrast import Levels, locally_stretched
from affectd.face.preprocess import GrayImage, PixelBox

# Of OpenCV's three frontal cascades (Lienhart & Maydt 2002) alt2 was the fastest, 17 ms of CPU for
# 320x240 against 22 (alt) and 25 (default), with about as many hits: 196 of 300 faces pasted into
# pictures, against 190 and 197. None saw a face in scenery.
# Equalizing the picture first, as often shown, lost a tenth of the hits and took longer: each
# window is normalized by the cascade anyway, if its contrast suffices, for which contrast.py cares.
CASCADE = "haarcascade_frontalface_alt2.xml"
SMALLEST_SIDE = 24
"""Pixels of the smallest face in the shrunken picture; the cascade was trained on 20."""
NEIGHBOURS, NEIGHBOURS_STRETCHED = 3, 4
"""Windows that must agree on a face; stretching brings out what looks like one, too."""
CONTRASTY = 128
"""Grey levels from which a picture needs no stretching."""
FEWEST_ROWS = 160
"""Below this many rows a box is too coarse to cut a face out by."""


@dataclass(frozen=True, slots=True, eq=False)
class SmallPicture:
    """A grey picture shrunk for detection."""

    pixels: GrayImage
    """(rows, columns)."""
    scale: float
    """Side in the full picture over side here; at least 1."""


class HaarDetector:
    """Finds upright, roughly frontal faces; boxes are in pixels of the full picture."""

    def __init__(self, min_size: float = 0.1) -> None:
        """Find faces from `min_size` (fraction of the picture's height) up. Raises ModelError without a cascade."""
        # The cascade scales badly over threads, and they would take the classifiers' cores.
        cv2.setNumThreads(1)
        self._min_size = min_size
        self._cascade = cv2.CascadeClassifier(_cascade_path())

    def shrink(self, gray: GrayImage) -> SmallPicture:
        """Shrink a grey picture (height, width) until the smallest face is `SMALLEST_SIDE` pixels wide."""
        height, width = gray.shape
        rows = min(height, max(FEWEST_ROWS, round(SMALLEST_SIDE / self._min_size)))
        if rows == height:
            return SmallPicture(gray, 1.0)
        scale = height / rows
        # Linear is exact averaging at half the size, the usual case, and much faster than INTER_AREA else.
        pixels = cv2.resize(gray, (max(1, round(width / scale)), rows), interpolation=cv2.INTER_LINEAR)
        return SmallPicture(np.asarray(pixels, np.uint8), scale)

    def detect(self, picture: SmallPicture, *, backlit: bool = False) -> list[PixelBox]:
        """Return the boxes of all faces, largest first.

        `backlit`: look for faces without contrast in a picture that as a whole has it.
        """
        levels = Levels.of(picture.pixels)
        pixels = levels.spread(picture.pixels)
        if backlit:
            pixels = locally_stretched(pixels)
        flat = levels.white - levels.black < CONTRASTY
        neighbours = NEIGHBOURS_STRETCHED if backlit or flat else NEIGHBOURS
        smallest = max(2, round(self._min_size * picture.pixels.shape[0]))
        found = self._cascade.detectMultiScale(
            pixels, scaleFactor=1.2, minNeighbors=neighbours, minSize=(smallest, smallest)
        )
        return _full_size(found, (0, 0), picture.scale)

    def detect_near(self, picture: SmallPicture, box: PixelBox) -> list[PixelBox]:
        """Give the faces of about `box`'s size near it, largest first.

        Half a face to each side and a quarter up or down in size is searched: a twentieth of the
        work of `detect`. Where a face has just been, fewer neighbours and finer steps are safe.
        """
        region, origin = cut_around(picture, box, margin=0.5)
        face, _ = cut_around(picture, box, margin=0.0)
        if face.size == 0:
            return []
        side = box[2] / picture.scale
        smallest, largest = round(side * 0.75), round(side * 1.33)
        found = self._cascade.detectMultiScale(
            Levels.of(face).spread(region),
            scaleFactor=1.1,
            minNeighbors=2,
            minSize=(smallest, smallest),
            maxSize=(largest, largest),
        )
        return _full_size(found, origin, picture.scale)


def cut_around(picture: SmallPicture, box: PixelBox, margin: float) -> tuple[GrayImage, tuple[int, int]]:
    """Cut the region around `box` (full-picture pixels), wider by `margin` of its sides each way.

    Gives the region, clipped at the picture's border (maybe empty), and its left and top in the small picture.
    """
    x, y, width, height = (value / picture.scale for value in box)
    left, top = max(0, round(x - margin * width)), max(0, round(y - margin * height))
    right, bottom = max(left, round(x + (1 + margin) * width)), max(top, round(y + (1 + margin) * height))
    return picture.pixels[top:bottom, left:right], (left, top)


def _full_size(found: Sequence[Any], origin: tuple[int, int], scale: float) -> list[PixelBox]:
    boxes = [
        ((x + origin[0]) * scale, (y + origin[1]) * scale, width * scale, height * scale)
        for x, y, width, height in np.asarray(found, np.float64).reshape(-1, 4).tolist()
    ]
    return sorted(boxes, key=lambda box: box[2], reverse=True)


def _cascade_path() -> str:
    # Debian's OpenCV has no cv2.data; it keeps the files in /usr/share.
    folder = Path(getattr(getattr(cv2, "data", None), "haarcascades", "/usr/share/opencv4/haarcascades"))
    path = folder / CASCADE
    if not path.is_file():
        raise ModelError(f"face detector: {path} is missing; install opencv-python-headless, 4.10 or later, below 5")
    return str(path)

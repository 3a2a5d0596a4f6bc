"""Faces in a grey picture by OpenCV's Haar cascade, on a copy just large enough for the smallest face."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from affectd.errors import ModelError
from affectd.face.contrast import Levels, locally_stretched
from affectd.face.detector import FoundFace, SmallPicture, cut_around, largest_first, shrunken
from affectd.face.preprocess import GrayImage

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
        return shrunken(gray, max(FEWEST_ROWS, round(SMALLEST_SIDE / self._min_size)))

    def detect(self, picture: SmallPicture, attempt: int) -> list[FoundFace]:
        """Return the upright faces, largest first; every second attempt looks for backlit ones.

        Those have no contrast in a picture that as a whole has it.
        """
        backlit = attempt % 2 == 1
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

    def detect_near(self, picture: SmallPicture, near: FoundFace) -> list[FoundFace]:
        """Return the faces of about the size of `near` around its place, largest first.

        Half a face to each side and a quarter up or down in size is searched: a twentieth of the
        work of `detect`. Where a face has just been, fewer neighbours and finer steps are safe.
        """
        region, origin = cut_around(picture, near.box, margin=0.5)
        face, _ = cut_around(picture, near.box, margin=0.0)
        if face.size == 0:
            return []
        side = near.box[2] / picture.scale
        smallest, largest = round(side * 0.75), round(side * 1.33)
        found = self._cascade.detectMultiScale(
            Levels.of(face).spread(region),
            scaleFactor=1.1,
            minNeighbors=2,
            minSize=(smallest, smallest),
            maxSize=(largest, largest),
        )
        return _full_size(found, origin, picture.scale)


def _full_size(found: Sequence[Any], origin: tuple[int, int], scale: float) -> list[FoundFace]:
    """Return boxes of the small picture as faces, in pixels of the full one."""
    boxes = np.asarray(found, np.float64).reshape(-1, 4).tolist()
    return largest_first(
        [
            FoundFace(((x + origin[0]) * scale, (y + origin[1]) * scale, width * scale, height * scale))
            for x, y, width, height in boxes
        ]
    )


def _cascade_path() -> str:
    # Debian's OpenCV has no cv2.data; it keeps the files in /usr/share.
    folder = Path(getattr(getattr(cv2, "data", None), "haarcascades", "/usr/share/opencv4/haarcascades"))
    path = folder / CASCADE
    if not path.is_file():
        raise ModelError(f"face detector: {path} is missing; install opencv-python-headless, 4.10 or later, below 5")
    return str(path)

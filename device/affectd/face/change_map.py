"""Where a picture has changed since full detection looked there: a face that comes in does so nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.face.detector import SmallPicture
from affectd.face.preprocess import PixelBox

CELL = 8
"""Pixels of the small picture, each way, of which the mean grey level is compared: noise cancels in them."""
LEAST_CHANGE = 1.5
"""Grey levels that count as a change in a picture without contrast; one of full contrast takes 4."""
LOOKS = 3
"""Rounds of attempts that look where something changed: in each the noise is another, which decides faint faces."""
ANEW_S = 2.0
"""Everything is looked at again after so long, whether it changed or not."""
REACH = 5
"""Cells around a change that are looked at with it: more of a face than its mouth may be new."""
OWN_LEFT, OWN_ABOVE, OWN_RIGHT, OWN_BELOW = -1.5, -0.5, 2.5, 6.0
"""Where changes are a followed person's own, in sides from the left and the top of the face: hair, shoulders, arms and
chest move with it all the time. Who comes to stand before them is seen when everything is looked at anew."""

_AROUND = np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """Where full detection is to look."""

    cells: NDArray[np.bool_]
    """Of a grid over the picture, (rows // CELL, columns // CELL)."""
    attempt: int
    """From 0; see FaceDetector."""


@dataclass(slots=True)
class ChangeMap:
    """Remembers, cell by cell, how the picture looked when it last changed, and how often it was looked at since."""

    _seen: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    _looks: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    _whole_at: float = -np.inf
    """When everything was last looked at, seconds."""
    _wholes: int = -1
    _parts: int = -1
    """Attempts at everything anew, and at what had changed; each take turns in the detector's ways of looking."""

    def forget(self) -> None:
        """Take the next picture for new everywhere."""
        self._seen = np.zeros((0, 0), np.float32)
        self._wholes = self._parts = -1

    def next_search(
        self, picture: SmallPicture, at: float, followed: Iterable[PixelBox], attempts: int
    ) -> Search | None:
        """Return what of a picture of `at` seconds is to be looked at, and how; None for nothing.

        `followed` are the faces, in full-picture pixels, that are followed anyway; `attempts` is how many it takes the
        detector to look everywhere and in every way.
        """
        rows, columns = picture.pixels.shape
        size = (max(1, columns // CELL), max(1, rows // CELL))
        now = cv2.resize(picture.pixels.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        if now.shape != self._seen.shape:
            self._seen, self._looks = now.copy(), np.zeros(now.shape, np.int32)
            self._whole_at = at
        change = max(LEAST_CHANGE, float(now.max() - now.min()) / 64)
        changed = np.abs(now - self._seen) > change
        self._seen[changed] = now[changed]
        self._looks[changed] = 0
        if at - self._whole_at >= ANEW_S:
            self._whole_at = at
            self._wholes += 1
            return Search(np.ones(now.shape, np.bool_), self._wholes)
        fresh = self._looks < LOOKS * attempts
        self._looks += 1
        for x, y, width, height in followed:
            left, right = ((x + share * width) / picture.scale / CELL for share in (OWN_LEFT, OWN_RIGHT))
            top, bottom = ((y + share * height) / picture.scale / CELL for share in (OWN_ABOVE, OWN_BELOW))
            own = slice(max(0, round(top)), max(0, round(bottom))), slice(max(0, round(left)), max(0, round(right)))
            fresh[own] = False
            self._looks[own] = 0  # so that it is looked for there once it is not followed any more
        if not fresh.any():
            return None
        self._parts += 1
        return Search(np.asarray(cv2.dilate(fresh.astype(np.uint8), _AROUND), np.bool_), self._parts)

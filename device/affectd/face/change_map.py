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
HEAD = (-0.5, -0.5, 1.5, 1.5)
"""Left, top, right and bottom around a followed face, in sides from its left and top: changes there are its own."""
BODY = (-1.5, -0.5, 2.5, 6.0)
"""The same of hair, shoulders, arms and chest, which move all the time: what comes into view there is looked at once in
every way, and then with everything else, but for no change in it."""

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
        boxes = np.reshape(list(followed), (-1, 4)) / (picture.scale * CELL)
        heads, bodies = _covered(boxes, HEAD, now.shape), _covered(boxes, BODY, now.shape)
        change = max(LEAST_CHANGE, float(now.max() - now.min()) / 64)
        changed = np.abs(now - self._seen) > change
        self._seen[changed] = now[changed]
        self._looks[changed & ~bodies] = 0
        if at - self._whole_at >= ANEW_S:
            self._whole_at = at
            self._wholes += 1
            return Search(np.ones(now.shape, np.bool_), self._wholes)
        fresh = (self._looks < np.where(bodies, attempts, LOOKS * attempts)) & ~heads
        self._looks += 1
        self._looks[heads] = 0  # so that it is looked for there once it is not followed any more
        if not fresh.any():
            return None
        self._parts += 1
        return Search(np.asarray(cv2.dilate(fresh.astype(np.uint8), _AROUND), np.bool_), self._parts)


def _covered(
    boxes: NDArray[np.float64], part: tuple[float, float, float, float], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Return the cells (rows, columns) of `shape` that lie in a part of one of the boxes (n, 4), in cells."""
    cells = np.zeros(shape, np.bool_)
    for x, y, width, height in boxes:
        left, right = (max(0, round(x + share * width)) for share in part[::2])
        top, bottom = (max(0, round(y + share * height)) for share in part[1::2])
        cells[top:bottom, left:right] = True
    return cells

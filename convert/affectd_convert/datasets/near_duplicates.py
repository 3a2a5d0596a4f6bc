"""Faces that show practically the same photo as one of another split: exact copies, and moved or mirrored ones.

FER2013 was gathered by web searches that found many photos twice; what is trained on must not be validated on.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]

ROUGHLY, FINELY = 16, 24
"""Sides that faces are shrunk to: for the look at all pairs, and for the look at those that it leaves."""
ROUGH_MARGIN, FINE_MARGIN = 1, 2
"""Pixels of those sides that a photo may be moved by in any direction: three or four of FER2013's 48."""
MAYBE = 0.90
SAME = 0.95
"""Correlation from which two shrunken faces are one photo. On FER2013 this finds 798 of the 834 training faces whose
`corr_to_public` is 0.97 or more, and 34 others, all of more than 0.9."""
TOGETHER = 2048
"""Faces compared at once, for memory's sake."""


def copies(faces: Pictures, others: Pictures) -> NDArray[np.bool_]:
    """Report of each of `faces` (n, side, side) whether one of `others` (m, side, side) is the same photo: (n,)."""
    found = np.zeros(len(faces), bool)
    if not len(faces) or not len(others):
        return found
    fine_faces = _shrunk(faces, FINELY)
    for mirrored in (others, others[:, :, ::-1]):
        fine_others = _inner(_shrunk(mirrored, FINELY), FINE_MARGIN)
        for face, other in _candidates(faces, mirrored):
            if not found[face]:
                best = cv2.matchTemplate(fine_faces[face], fine_others[other], cv2.TM_CCOEFF_NORMED).max()
                found[face] = best >= SAME
    return found


def _candidates(faces: Pictures, others: Pictures) -> Iterator[tuple[int, int]]:
    """Return (face, other) where the rough pictures correlate."""
    rough, wanted = _shrunk(faces, ROUGHLY), _unit(_inner(_shrunk(others, ROUGHLY), ROUGH_MARGIN))
    side, moves = ROUGHLY - 2 * ROUGH_MARGIN, range(2 * ROUGH_MARGIN + 1)
    for start in range(0, len(faces), TOGETHER):
        part = rough[start : start + TOGETHER]
        near = np.zeros((len(part), len(wanted)), bool)
        for down in moves:
            for right in moves:
                near |= _unit(part[:, down : down + side, right : right + side]) @ wanted.T >= MAYBE
        for face, other in np.argwhere(near):
            yield start + int(face), int(other)


def _shrunk(faces: Pictures, side: int) -> NDArray[np.float32]:
    small = [cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA) for face in faces]
    return np.asarray(np.stack(small), np.float32)


def _inner(pictures: NDArray[np.float32], margin: int) -> NDArray[np.float32]:
    return np.ascontiguousarray(pictures[:, margin:-margin, margin:-margin])


def _unit(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return pictures as rows of mean 0 and length 1, so that products are correlations; flat ones stay 0."""
    rows = pictures.reshape(len(pictures), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6), np.float32)

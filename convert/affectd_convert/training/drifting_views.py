"""Views of one still as a camera's frames would show it: the face drifts, and the detector's box trembles about it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

TURN_DEG, TREMBLE_DEG = 5.0, 1.0
"""Standard deviations of the way from the first view to the last, and of each view's distance from that way."""
MOVE, TREMBLE = 0.05, 0.015
"""The same of the place, and of the logarithm of the size; shares of the side."""


def drifting_views(face: NDArray[np.uint8], frames: int, rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Return so many views (side, side) of a face (side, side), the middle one about as it is; the one of one alone."""
    if frames == 1:
        return [face]
    side, when = face.shape[0], np.linspace(-0.5, 0.5, frames)
    angle, zoom, right, down = (
        rng.normal(0, way) * when + rng.normal(0, tremble, frames)
        for way, tremble in ((TURN_DEG, TREMBLE_DEG), (MOVE, TREMBLE), (MOVE, TREMBLE), (MOVE, TREMBLE))
    )
    views = []
    for view in range(frames):
        matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle[view], float(np.exp(zoom[view])))
        matrix[:, 2] += right[view] * side, down[view] * side
        warped = cv2.warpAffine(face, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        views.append(np.asarray(warped, np.uint8))
    return views

"""Pictures of the one portrait in the repository, placed as a person stands before a camera."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

PORTRAIT = Path(__file__).parents[1] / "media" / "astronaut.jpg"
FACE_X, FACE_Y, FACE_SIDE = 225.0, 122.0, 110.0
"""Centre and side of the face in the portrait, pixels."""
BACKDROP = (150, 140, 130)


def scene(*faces: tuple[float, float, float], width: int = 640, height: int = 480) -> NDArray[np.uint8]:
    """Return a BGR picture with the portrait's head once for each (centre x, centre y, side) of a face, in pixels."""
    portrait = cv2.imread(str(PORTRAIT))
    picture = np.full((height, width, 3), BACKDROP, np.uint8)
    head = np.zeros(portrait.shape[:2], np.uint8)
    cv2.ellipse(head, (int(FACE_X), int(FACE_Y) - 5), (95, 115), 0, 0, 360, 255, -1)
    for x, y, side in faces:
        zoom = side / FACE_SIDE
        move = np.array([[zoom, 0, x - FACE_X * zoom], [0, zoom, y - FACE_Y * zoom]])
        placed = cv2.warpAffine(portrait, move, (width, height), flags=cv2.INTER_AREA)
        mask = cv2.warpAffine(head, move, (width, height))
        picture[mask > 127] = placed[mask > 127]
    return picture

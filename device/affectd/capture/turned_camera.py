"""A camera that is mounted on its side or upside down, or shows a mirror image."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.capture.protocols import Camera
from affectd.capture.wrapped_camera import WrappedCamera
from affectd.events import Frame

TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class TurnedCamera(WrappedCamera):
    """Another camera, whose pictures are turned clockwise by `rotate` degrees and then mirrored left to right."""

    def __init__(self, camera: Camera, *, rotate: int, mirror: bool) -> None:
        super().__init__(camera)
        self._rotate = rotate
        self._mirror = mirror

    def read(self) -> Frame:
        """Wait for the next frame, and turn it. Raises CaptureError, EndOfClipError."""
        frame = self._camera.read()
        return replace(frame, image=turned(frame.image, self._rotate, self._mirror))


def turned(image: NDArray[np.uint8], degrees: int, mirror: bool = False) -> NDArray[np.uint8]:
    """Turn a picture (rows, columns[, 3]) clockwise by 0, 90, 180 or 270 degrees, and then `mirror` it."""
    if degrees:
        image = np.asarray(cv2.rotate(image, TURNS[degrees]), np.uint8)
    return np.asarray(cv2.flip(image, 1), np.uint8) if mirror else image

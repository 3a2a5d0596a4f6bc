"""What every picture is checked for where it enters: that it is one, and that something can be seen on it."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.capture.camera_options import CameraOptions
from affectd.capture.freeze_detector import EVERY, FreezeDetector
from affectd.capture.protocols import Camera
from affectd.capture.wrapped_camera import WrappedCamera
from affectd.errors import CaptureError
from affectd.events import Frame

SHORTEST_SIDE = 32
"""Pixels: on a smaller picture no detector finds a face."""
LONGEST_RATIO = 8
"""Between the sides; wider is a buffer that was taken for a picture."""
MOST_PIXELS = 100_000_000
BLANK_S = 60.0
"""For so long a picture may be blank where it may stand still for ever."""


def shape_fault(image: NDArray[Any]) -> str:
    """Return why this is no picture, as it follows "sends"; nothing for (rows, columns[, 3]) of uint8."""
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        return f"arrays of shape {image.shape}, {image.dtype}, where a picture is (rows, columns[, 3]), uint8"
    rows, columns = image.shape[:2]
    if min(rows, columns) < SHORTEST_SIDE or max(rows, columns) > LONGEST_RATIO * min(rows, columns):
        return (
            f"pictures of {columns}x{rows} pixels, a size that no camera has; does it use a format that is not known?"
        )
    if rows * columns > MOST_PIXELS:
        return f"pictures of {columns}x{rows} pixels, which are more than are read"
    return ""


def is_blank(image: NDArray[np.uint8]) -> bool:
    """Whether the picture is of one even colour to the bit: even a covered lens has its sensor's noise."""
    first = image[0, 0]
    return bool((image[::EVERY, ::EVERY] == first).all() and (image == first).all())


class CheckedCamera(WrappedCamera):
    """A live camera whose pictures are checked as they come.

    One whose picture stays the same to the bit for `still_s`, or is blank for so long, delivers none: not for
    `timeout_s`, and then not after reopening either, until the picture changes.
    """

    def __init__(self, camera: Camera, options: CameraOptions) -> None:
        super().__init__(camera)
        self._timeout_s = options.timeout_s
        self._still_s = options.still_s or math.inf
        self._blank_s = options.still_s or BLANK_S
        self._freeze_detector = FreezeDetector()
        self._seen_at: float | None = None
        """When something could last be seen, or the first picture came."""

    def read(self) -> Frame:
        """Wait for the next frame that is a picture. Raises CaptureError."""
        began = time.monotonic()
        while True:
            frame = self._camera.read()
            fault = shape_fault(frame.image)
            if fault:
                raise CaptureError(f"camera {self.name}: sends {fault}")
            fault = self._fault(frame)
            if not fault:
                return frame
            if frame.captured_at - began > self._timeout_s:
                raise CaptureError(f"camera {self.name}: {fault}")

    def _fault(self, frame: Frame) -> str:
        """Return why nobody could be seen, however long this goes on."""
        image, at = frame.image, frame.captured_at
        if self._freeze_detector.frozen_s(image, at) > self._still_s:
            return (
                f"sends the very same picture for more than {self._still_s:g} s, as a frozen one does; restart it, or, "
                "if its picture is meant to stand still, set camera.still_s = 0"
            )
        if self._seen_at is None or not is_blank(image):
            self._seen_at = at
        if at - self._seen_at > self._blank_s:
            level = ", ".join(str(value) for value in np.atleast_1d(image[0, 0]))
            return (
                f"sends pictures of one even colour ({level}) for more than {self._blank_s:g} s; is its lens covered, "
                "or does its driver deliver nothing?"
            )
        return ""

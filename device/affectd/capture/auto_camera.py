"""The camera that is there, whatever it is called today."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from affectd.capture.picamera_library import list_picameras
from affectd.capture.protocols import Camera
from affectd.capture.v4l2 import list_v4l2_cameras
from affectd.errors import CaptureError
from affectd.events import Frame

log = logging.getLogger(__name__)


class AutoCamera:
    """The Pi's camera when libcamera reports one, else the first V4L2 camera, looked up at every opening.

    A USB camera that comes back after a glitch may have another number, and a Pi's camera may be ready late.
    """

    def __init__(self, make: Callable[[str], Camera], crash_marker: Path | None = None) -> None:
        """Prepare; `make` gives the camera of a source, 'picamera' or a /dev path."""
        self.name = "the first camera found"
        self._make = make
        self._crash_marker = crash_marker
        self._source = ""
        self._camera: Camera | None = None
        self._fault = ""
        """What libcamera failed with the last time."""

    def open(self) -> None:
        """Look for a camera and open it. Raises CaptureError."""
        self.close()
        source = self._look()
        if self._camera is None or source != self._source:
            # The same one again is kept: it knows since when its picture has stood still.
            self._camera, self._source = self._make(source), source
        try:
            self._camera.open()
        finally:
            self.name = self._camera.name

    def read(self) -> Frame:
        """Wait for the next frame. Raises CaptureError, as the camera does that was found."""
        if self._camera is None:
            raise CaptureError(f"{self.name}: not open")
        return self._camera.read()

    def close(self) -> None:
        """Release the device; harmless when not open."""
        if self._camera is not None:
            self._camera.close()

    def _look(self) -> str:
        """Give the source of the camera to take. Raises CaptureError when there is none."""
        fault, seen = "", []
        try:
            seen = list_picameras(self._crash_marker)
        except CaptureError as error:
            fault = str(error)
        seen += list_v4l2_cameras()
        if not seen:
            raise CaptureError(fault or "no camera found; is the cable or ribbon seated? see README, Cameras")
        source, _ = seen[0]
        if fault and fault != self._fault:
            log.warning("%s; taking %s instead", fault, source)
        self._fault = fault
        return source

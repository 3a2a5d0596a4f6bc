"""The first camera that works, whatever its number is today."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from affectd.capture.picamera_library import list_picameras
from affectd.capture.protocols import Camera, CameraMode
from affectd.capture.v4l2.listing import list_v4l2_cameras
from affectd.errors import CaptureError
from affectd.events import Frame

log = logging.getLogger(__name__)


class AutoCamera:
    """The first camera that delivers a picture: the Pi's, then V4L2's by number, looked up at every opening.

    A USB camera that comes back after a glitch may have another number, and a Pi's camera may be ready late. One that
    failed is tried after the others the next time.
    """

    def __init__(self, make: Callable[[str], Camera], timeout_s: float, crash_marker: Path | None = None) -> None:
        """Prepare; `make` returns the camera of a source, 'picamera' or a /dev path.

        After `timeout_s` no further one is tried at this opening.
        """
        self.name = "the first camera found"
        self._make = make
        self._timeout_s = timeout_s
        self._crash_marker = crash_marker
        self._known: dict[str, Camera] = {}
        """By source. They are kept, for each knows since when its picture has stood still."""
        self._failed: list[str] = []
        """Sources that delivered no picture, the last one last."""
        self._source = ""
        self._camera: Camera | None = None
        self._first: Frame | None = None
        """The frame by which the camera was found good."""
        self._fault = ""
        """What was logged of the others the last time."""

    @property
    def mode(self) -> CameraMode | None:
        """What was agreed with the camera that was found."""
        return None if self._camera is None else self._camera.mode

    def open(self) -> None:
        """Open the first camera found that delivers a picture. Raises CaptureError."""
        self.close()
        began, (sources, fault) = time.monotonic(), self._list_sources()
        faults = [fault] if fault else []
        self._known = {source: self._known.get(source) or self._make(source) for source in sources}
        for source in sorted(sources, key=lambda each: self._failed.index(each) if each in self._failed else -1):
            try:
                self._open_source(source)
            except CaptureError as error:
                faults.append(str(error))
                if time.monotonic() - began > self._timeout_s:
                    break
                continue
            self._log_fault("; ".join(faults))
            return
        raise CaptureError("; ".join(faults))

    def read(self) -> Frame:
        """Wait for the next frame. Raises CaptureError, as the camera does that was found."""
        if self._camera is None:
            raise CaptureError(f"{self.name}: not open")
        if self._first is not None:
            frame, self._first = self._first, None
            return frame
        try:
            return self._camera.read()
        except CaptureError:
            self._put_last(self._source)
            raise

    def close(self) -> None:
        """Release the device; harmless when not open."""
        self._first = None
        if self._camera is not None:
            self._camera.close()

    def _list_sources(self) -> tuple[list[str], str]:
        """Return the sources of the cameras that are there, and why those of libcamera could not be listed."""
        fault, sources = "", []
        try:
            sources = [source for source, _ in list_picameras(self._crash_marker)]
        except CaptureError as error:
            fault = str(error)
        sources += [node.path for node in list_v4l2_cameras()]
        if not sources:
            raise CaptureError(fault or "no camera found; is the cable or ribbon seated? see README, Cameras")
        return sources, fault

    def _open_source(self, source: str) -> None:
        """Open a camera and read its first picture. Raises CaptureError, and puts it last, when there is none."""
        self._camera, self._source = self._known[source], source
        try:
            self._camera.open()
            self._first = self._camera.read()
        except CaptureError:
            self._camera.close()
            self._put_last(source)
            raise
        finally:
            self.name = self._camera.name

    def _put_last(self, source: str) -> None:
        self._failed = [*(each for each in self._failed if each != source), source]

    def _log_fault(self, fault: str) -> None:
        if fault and fault != self._fault:
            log.warning("%s; taking %s instead", fault, self.name)
        self._fault = fault

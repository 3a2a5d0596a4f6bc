"""A camera of whose picture a part is looked at."""

from __future__ import annotations

from dataclasses import replace

from affectd.capture.crop import Crop
from affectd.capture.protocols import Camera, CameraMode
from affectd.events import Frame


class CroppedCamera:
    """Another camera, of whose pictures only `crop` is left."""

    def __init__(self, camera: Camera, crop: Crop) -> None:
        self._camera = camera
        self._crop = crop

    @property
    def name(self) -> str:
        """What a person calls the camera."""
        return self._camera.name

    @property
    def mode(self) -> CameraMode | None:
        """What was agreed with the camera at opening."""
        return self._camera.mode

    def open(self) -> None:
        """Open the camera. Raises CaptureError."""
        self._camera.open()

    def read(self) -> Frame:
        """Wait for the next frame, and crop it. Raises CaptureError, EndOfClipError."""
        frame = self._camera.read()
        return replace(frame, image=self._crop.of(frame.image))

    def close(self) -> None:
        """Release the camera; harmless when not open."""
        self._camera.close()

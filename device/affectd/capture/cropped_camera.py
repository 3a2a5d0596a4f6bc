"""A camera of whose picture a part is looked at."""

from __future__ import annotations

from dataclasses import replace

from affectd.capture.crop import Crop
from affectd.capture.protocols import Camera
from affectd.capture.wrapped_camera import WrappedCamera
from affectd.events import Frame


class CroppedCamera(WrappedCamera):
    """Another camera, of whose pictures only `crop` is left."""

    def __init__(self, camera: Camera, crop: Crop) -> None:
        super().__init__(camera)
        self._crop = crop

    def read(self) -> Frame:
        """Wait for the next frame, and crop it. Raises CaptureError, EndOfClipError."""
        frame = self._camera.read()
        return replace(frame, image=self._crop.of(frame.image))

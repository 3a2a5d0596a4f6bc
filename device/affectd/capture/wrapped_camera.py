"""What cameras have in common that change or check the frames of another."""

from __future__ import annotations

from affectd.capture.protocols import Camera, CameraMode


class WrappedCamera:
    """Another camera, under its own name; a subclass reads its frames."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera

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

    def close(self) -> None:
        """Release the camera; harmless when not open."""
        self._camera.close()

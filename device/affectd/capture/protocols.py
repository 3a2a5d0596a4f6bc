"""What a camera and a microphone are to the rest of affectd; a recorded clip is both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from affectd.events import AudioChunk, Frame


class EndOfClipError(Exception):
    """A recorded clip has been played to its end; a live source never raises it."""


@dataclass(frozen=True, slots=True)
class CameraMode:
    """The pictures that a camera agreed to send, which may differ from those requested."""

    format: str
    """Of its pixels, by its own code."""
    width: int
    """Pixels, before the picture is turned or stretched."""
    height: int
    fps: float | None
    """Frames a second; None where the driver does not report it."""

    def __str__(self) -> str:
        """Describe it to people."""
        rate = "" if self.fps is None else f" at {self.fps:g} fps"
        return f"{self.width}x{self.height} {self.format}{rate}"


class Camera(Protocol):
    """A source of frames. Not thread-safe: one thread opens, reads and closes it."""

    @property
    def name(self) -> str:
        """What a person calls it: 'picamera imx708', '/dev/video0', 'clip kiosk.mp4'."""

    @property
    def mode(self) -> CameraMode | None:
        """What was agreed at opening; None where nothing is, as with a stream or a clip, and while it is closed."""

    def open(self) -> None:
        """Open the device. Raises CaptureError saying what was seen and what to do."""

    def read(self) -> Frame:
        """Wait for the next frame, at most the timeout given at construction.

        Raises CaptureError when the device is gone, silent past the timeout, or sends garbage (then
        it must be closed and opened again), and EndOfClipError at the end of a clip.
        """

    def close(self) -> None:
        """Release the device; harmless when not open."""


class Microphone(Protocol):
    """A source of sound. Not thread-safe: one thread opens, reads and closes it."""

    name: str

    def open(self) -> None:
        """Open the device. Raises CaptureError saying what was seen and what to do."""

    def read(self) -> AudioChunk:
        """Wait for the next chunk (mono int16 at 16,000 Hz), with the raises of Camera.read."""

    def close(self) -> None:
        """Release the device; harmless when not open."""

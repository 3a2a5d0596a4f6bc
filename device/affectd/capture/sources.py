"""Picks the camera, microphone and clip that the `source` settings name, and lists what is there."""

from __future__ import annotations

from pathlib import Path

from affectd.capture.clip import Clip
from affectd.capture.opencv_camera import OpenCvCamera
from affectd.capture.picamera import PiCamera, list_picameras
from affectd.capture.protocols import Camera, Microphone
from affectd.capture.pyaudio_microphone import PyAudioMicrophone, list_microphones
from affectd.capture.v4l2 import list_v4l2_cameras

__all__ = ["is_clip", "list_cameras", "list_microphones", "make_camera", "make_clip", "make_microphone"]


def is_clip(camera_source: str) -> bool:
    """Whether the camera's source is the path of a recorded clip."""
    if camera_source in ("auto", "picamera", "off") or camera_source.isdecimal():
        return False
    return "://" not in camera_source and not camera_source.startswith("/dev/video")


def make_clip(camera_source: str, *, realtime: bool, loop: bool, fps: float) -> Clip | None:
    """Open the clip that stands in for the camera; None when the source is none. Raises CaptureError."""
    if not is_clip(camera_source):
        return None
    return Clip(Path(camera_source).expanduser(), realtime=realtime, loop=loop, fps=fps)


def make_camera(
    source: str, *, clip: Clip | None, width: int, height: int, fps: float, timeout_s: float, still_s: float = 60.0
) -> Camera | None:
    """Choose the camera; None for 'off' and for a clip without pictures. Nothing is opened yet.

    'auto' is the Pi's camera when libcamera reports one, else the first V4L2 camera, else /dev/video0,
    which is missing now and may be plugged in later.
    """
    if source == "off":
        return None
    if clip is not None:
        return clip.camera
    if source == "picamera" or (source == "auto" and list_picameras()):
        return PiCamera(width=width, height=height, fps=fps, timeout_s=timeout_s)
    if source == "auto":
        source = next((path for path, _ in list_v4l2_cameras()), "0")
    return OpenCvCamera(source, width=width, height=height, fps=fps, timeout_s=timeout_s, still_s=still_s)


def make_microphone(source: str, *, clip: Clip | None, timeout_s: float) -> Microphone | None:
    """Choose the microphone; None for 'off' and for 'auto' with a clip without sound. Nothing is opened yet."""
    if source == "off":
        return None
    if source == "auto":
        return clip.microphone if clip is not None else PyAudioMicrophone("default", timeout_s=timeout_s)
    return PyAudioMicrophone(source, timeout_s=timeout_s)


def list_cameras() -> list[tuple[str, str]]:
    """Give (source, human name) of every camera on this box, in the order in which 'auto' prefers them."""
    return list_picameras() + list_v4l2_cameras()

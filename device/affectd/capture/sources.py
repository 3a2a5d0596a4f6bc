"""Picks the camera, microphone and clip that the `source` settings name."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from affectd.capture.address import concealed
from affectd.capture.auto_camera import AutoCamera
from affectd.capture.camera_options import CameraOptions
from affectd.capture.clip import Clip
from affectd.capture.cropped_camera import CroppedCamera
from affectd.capture.frame_check import CheckedCamera
from affectd.capture.gstreamer_camera import GStreamerCamera
from affectd.capture.microphone.pyaudio_microphone import PyAudioMicrophone
from affectd.capture.opencv_camera import OpenCvCamera
from affectd.capture.picamera import PiCamera
from affectd.capture.protocols import Camera, Microphone
from affectd.capture.source_settings import camera_fault, is_clip
from affectd.capture.turned_camera import TurnedCamera
from affectd.capture.v4l2.camera import V4l2Camera
from affectd.errors import CaptureError, ConfigError


def refuse_unknown(camera_source: str) -> None:
    """Raise ConfigError for a source of the camera that can be none, as settings that were loaded never have."""
    fault = camera_fault(camera_source, is_file=Path(camera_source).is_file())
    if fault:
        raise ConfigError(f'camera.source = "{concealed(camera_source)}": {fault}')


def make_clip(
    camera_source: str, *, realtime: bool, loop: bool, fps: float, pixel_aspect: Fraction | None = None
) -> Clip | None:
    """Open the clip that stands in for the camera; None when the source is none.

    Raises CaptureError for a clip that is no good, and ConfigError for a source that cannot be meant as one.
    """
    if not is_clip(camera_source):
        return None
    try:
        refuse_unknown(camera_source)
        return Clip(Path(camera_source), realtime=realtime, loop=loop, fps=fps, pixel_aspect=pixel_aspect)
    except OSError as error:  # such as a folder that this user may not enter
        raise CaptureError(f"clip {camera_source}: cannot be read: {error.strerror}") from None


def make_camera(source: str, options: CameraOptions, clip: Clip | None) -> Camera | None:
    """Choose the camera; None for 'off' and for a clip without pictures. Nothing is looked for or opened yet.

    A clip has its options since it was made, but for its colour, turning and cropping.
    """

    def live(source: str) -> Camera:
        kind, _, named = source.partition(":")
        if kind == "picamera":
            return CheckedCamera(PiCamera(options, named), options)  # which turns and crops by itself
        camera: Camera
        if kind == "gst":
            camera = GStreamerCamera(named, options)
        elif "://" in source:
            camera = OpenCvCamera(source, options)
        else:
            camera = V4l2Camera(f"/dev/video{source}" if source.isdecimal() else source, options)
        return _framed(CheckedCamera(camera, options), options)

    if source == "off":
        return None
    if clip is not None:
        if clip.camera is None:
            return None
        clip.camera.colour = options.colour
        return _framed(clip.camera, options)
    return AutoCamera(live, options.timeout_s, options.crash_marker) if source == "auto" else live(source)


def _framed(camera: Camera, options: CameraOptions) -> Camera:
    """Return a camera whose pictures are turned, mirrored and cropped as configured."""
    if options.rotate or options.mirror:
        camera = TurnedCamera(camera, rotate=options.rotate, mirror=options.mirror)
    return CroppedCamera(camera, options.crop) if options.crop else camera


def make_microphone(
    source: str,
    *,
    clip: Clip | None,
    timeout_s: float,
    channel: str = "auto",
    gain_db: float = 0.0,
    high_pass_hz: float = 0.0,
) -> Microphone | None:
    """Choose the microphone; None for 'off' and for 'auto' with a clip without sound. Nothing is opened yet."""
    if source == "off":
        return None
    if source == "auto" and clip is not None:
        return clip.microphone
    return PyAudioMicrophone(
        "default" if source == "auto" else source,
        timeout_s=timeout_s,
        channel=channel,
        gain_db=gain_db,
        high_pass_hz=high_pass_hz,
    )

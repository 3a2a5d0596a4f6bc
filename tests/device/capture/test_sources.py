"""Which camera and microphone the `source` settings name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from affectd.capture.auto_camera import AutoCamera
from affectd.capture.camera_options import CameraOptions
from affectd.capture.frame_check import CheckedCamera
from affectd.capture.microphone.pyaudio_microphone import PyAudioMicrophone
from affectd.capture.picamera import PiCamera
from affectd.capture.protocols import Camera
from affectd.capture.source_settings import is_clip
from affectd.capture.sources import make_camera, make_clip, make_microphone
from affectd.errors import CaptureError, ConfigError
from support.media import flash_and_beep, write_clip

WEBCAM = "/dev/v4l/by-id/usb-046d_HD_Webcam_C525-video-index0"
OPTIONS = CameraOptions(width=160, height=120, fps=10, timeout_s=1)


def camera_for(source: str) -> Camera | None:
    return make_camera(source, OPTIONS, None)


@pytest.mark.parametrize(
    "source", ["auto", "off", "picamera", "0", "/dev/video2", WEBCAM, "rtsp://cam/1", "http://cam/"]
)
def test_live_sources_are_no_clips(source: str) -> None:
    assert not is_clip(source)
    assert make_clip(source, realtime=True, loop=False, fps=10) is None


@pytest.mark.parametrize("source", ["usb", "USB", "", "auto ", "webcam:0"])
def test_what_can_be_neither_a_camera_nor_a_clip_is_told_what_is_allowed(source: str) -> None:
    with pytest.raises(ConfigError, match=r"camera.source = .* below /dev/, an rtsp:// or http:// address, or a clip"):
        make_clip(source, realtime=True, loop=False, fps=10)


@pytest.mark.parametrize("source", ["kiosk.mp4", "clips/kiosk", "/srv/kiosk"])
def test_a_clip_that_may_come_later_is_missing(source: str) -> None:
    with pytest.raises(CaptureError, match="no such file"):
        make_clip(source, realtime=True, loop=False, fps=10)


def test_a_clip_needs_no_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clip(tmp_path / "kiosk.mp4", frames=flash_and_beep(1.0, 0.5)[0]).rename(tmp_path / "kiosk")
    monkeypatch.chdir(tmp_path)
    assert make_clip("kiosk", realtime=False, loop=False, fps=10) is not None


def test_each_source_has_its_camera() -> None:
    assert camera_for("off") is None
    assert isinstance(camera_for("auto"), AutoCamera)
    named = {
        "picamera": "picamera",
        "3": "/dev/video3",
        "/dev/video3": "/dev/video3",
        WEBCAM: WEBCAM,
        "rtsp://u:p@cam/1": "rtsp://cam/1",
    }
    for source, name in named.items():
        camera = camera_for(source)
        assert isinstance(camera, CheckedCamera)
        assert camera.name == name


def test_a_clip_is_camera_and_by_default_microphone(tmp_path: Path) -> None:
    frames, sound = flash_and_beep(1.0, 0.5)
    source = str(write_clip(tmp_path / "kiosk.mp4", frames=frames, sound=sound))
    clip = make_clip(source, realtime=False, loop=False, fps=10)
    assert clip is not None
    camera = make_camera(source, OPTIONS, clip)
    assert camera is clip.camera
    assert make_microphone("auto", clip=clip, timeout_s=1) is clip.microphone
    assert make_microphone("off", clip=clip, timeout_s=1) is None
    assert isinstance(make_microphone("default", clip=clip, timeout_s=1), PyAudioMicrophone)
    assert isinstance(make_microphone("auto", clip=None, timeout_s=1), PyAudioMicrophone)


def test_without_picamera2_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    camera = PiCamera(OPTIONS)
    with pytest.raises(CaptureError, match=r"apt install python3-picamera2.*--system-site-packages"):
        camera.open()
    with pytest.raises(CaptureError, match="not open"):
        camera.read()
    camera.close()

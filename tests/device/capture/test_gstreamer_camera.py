"""Pipelines of the real GStreamer: what they show, and what is said when they end, stall, change or cannot be."""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from affectd.capture.camera_options import CameraOptions
from affectd.capture.crop import Crop
from affectd.capture.gstreamer_camera import GStreamerCamera
from affectd.capture.sources import make_camera
from affectd.errors import CaptureError
from support.gstreamer import find_gi

LIVE = "videotestsrc is-live=true pattern=ball"


@pytest.fixture(autouse=True, scope="module")
def gi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """PyGObject alone of what Debian has for this Python, as in a venv that is made with --system-site-packages."""
    folder, package = tmp_path_factory.mktemp("gi"), find_gi()
    assert package is not None
    (folder / "gi").symlink_to(package)
    sys.path.append(str(folder))
    yield
    sys.path.remove(str(folder))


def opened(pipeline: str, *, fps: float = 30, timeout_s: float = 20, colour: bool = False) -> GStreamerCamera:
    options = CameraOptions(width=640, height=480, fps=fps, timeout_s=timeout_s, colour=colour)
    camera = GStreamerCamera(pipeline, options)
    camera.open()
    return camera


def refusal(pipeline: str, *, timeout_s: float = 20) -> str:
    """Return what is said at the opening or at a later picture."""
    with pytest.raises(CaptureError) as caught:
        camera = opened(pipeline, timeout_s=timeout_s)
        try:
            while True:
                camera.read()
        finally:
            camera.close()
    return str(caught.value)


def test_the_picture_is_grey_and_without_padding() -> None:
    camera = opened("videotestsrc is-live=true pattern=smpte75 ! video/x-raw,width=322,height=240")
    frame = camera.read()
    camera.close()
    assert (frame.image.shape, frame.image.dtype, frame.number) == ((240, 322), np.uint8, 1)
    bars = frame.image[40, 20::46]  # seven bars of falling brightness over the whole width
    assert (np.diff(bars.astype(int)) < 0).all()
    assert abs(time.monotonic() - frame.captured_at) < 20


def test_the_picture_is_in_colour_where_that_is_wanted() -> None:
    scene = "videotestsrc is-live=true pattern=solid-color foreground-color=0xffc86428"
    camera = opened(f"{scene} ! video/x-raw,format=I420,width=322,height=240", colour=True)
    image, mode = camera.read().image, camera.mode
    camera.close()
    assert mode is not None
    assert (image.shape, mode.format) == ((240, 322, 3), "BGR")
    assert image[120, 320] == pytest.approx([0x28, 0x64, 0xC8], abs=4)


@pytest.mark.parametrize("form", ["I420", "YUY2", "RGB", "GRAY8", "I420,colorimetry=1:4:0:0"])
def test_grey_is_the_same_whatever_range_it_comes_in(form: str) -> None:
    levels = []
    for level in (0, 128, 255):
        scene = f"videotestsrc is-live=true pattern=solid-color foreground-color={0xFF000000 + 0x010101 * level}"
        camera = opened(
            f"{scene} ! video/x-raw,format=RGB,width=64,height=48 ! videoconvert ! video/x-raw,format={form}"
        )
        levels.append(int(camera.read().image[24, 32]))
        camera.close()
    assert levels == pytest.approx([0, 128, 255], abs=1)


def test_pixels_are_made_square_and_the_rate_is_kept() -> None:
    camera = opened(f"{LIVE} ! video/x-raw,width=320,height=240,framerate=60/1,pixel-aspect-ratio=2/1", fps=5)
    frames = [camera.read() for _ in range(4)]
    camera.close()
    assert frames[0].image.shape == (240, 640)
    assert frames[-1].captured_at - frames[0].captured_at > 0.45


def test_it_goes_on_in_another_size_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    first = "videotestsrc is-live=true num-buffers=30 ! video/x-raw,width=320,height=240 ! concat name=both"
    camera = opened(f"{first} videotestsrc is-live=true ! video/x-raw,width=162,height=120 ! both. both.")
    assert camera.read().image.shape == (240, 320)
    with caplog.at_level(logging.INFO):
        while camera.read().image.shape != (120, 162):
            pass
    camera.close()
    assert [record.getMessage() for record in caplog.records] == [
        "camera gst videotestsrc: its picture is now 162x120, no longer 320x240"
    ]


def test_the_end_of_the_stream_is_told_and_it_can_be_opened_again() -> None:
    camera = opened("videotestsrc is-live=true num-buffers=5")
    with pytest.raises(CaptureError, match="camera gst videotestsrc: the stream has ended"):
        while True:
            camera.read()
    camera.open()
    assert camera.read().number == 1
    camera.close()
    with pytest.raises(CaptureError, match="not open"):
        camera.read()


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        (f"{LIVE} ! nosuchelement", 'no element "nosuchelement"; is it spelled so, and is its plugin installed?'),
        ("videotestsrc nosuch=1", 'no property "nosuch" in element "videotestsrc"'),
        (f"{LIVE} ! ! queue", "syntax error"),
        (f"{LIVE} ! fakesink", "could not link fakesink"),
        ("audiotestsrc is-live=true", "could not link audiotestsrc"),
        (f"{LIVE} ! identity error-after=20 name=cable", "cable failed: Failed after iterations as requested"),
        ("v4l2src device=/dev/video97", "v4l2src0 failed: Cannot identify device '/dev/video97'"),
    ],
)
def test_a_pipeline_that_cannot_be_or_fails_is_a_sentence(pipeline: str, said: str) -> None:
    message = refusal(pipeline)
    assert said in message
    assert message.startswith("camera gst ")
    assert "\n" not in message


def test_a_stall_is_told_after_the_timeout() -> None:
    assert refusal(f"{LIVE} ! valve drop=true", timeout_s=0.5) == "camera gst videotestsrc: no picture for 0.5 s"


def test_a_password_is_not_shown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = f"rtsp://kiosk:hunter2@127.0.0.1:{nobody.getsockname()[1]}/1"
    for pipeline in (f'rtspsrc location={address} user-pw="hunter2" ! decodebin', f"filesrc location={address}"):
        message = refusal(pipeline)
        assert "src0 failed" in message
        assert "hunter2" not in message
    assert 'No such file "rtsp://127.0.0.1:' in message  # why comes after what


class RawServer:
    """Sends pictures of 160x120 grey pixels over TCP, until it is stopped or killed."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.stalls = threading.Event()
        self._killed = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def kill(self) -> None:
        self._killed.set()
        self._thread.join()

    def _serve(self) -> None:
        self._listener.settimeout(20)
        with self._listener, self._listener.accept()[0] as viewer:
            while not self._killed.wait(0.02):
                if not self.stalls.is_set():
                    viewer.sendall(np.random.default_rng().integers(0, 256, 160 * 120, np.uint8).tobytes())


def test_a_source_that_stalls_or_is_killed_is_told() -> None:
    pipeline = "tcpclientsrc host=127.0.0.1 port={} ! rawvideoparse width=160 height=120 format=gray8 framerate=30/1"
    for fault, said in (("stall", "no picture for 3 s"), ("kill", "the stream has ended")):
        server = RawServer()
        camera = opened(pipeline.format(server.port), timeout_s=3 if fault == "stall" else 20)
        assert camera.read().image.shape == (120, 160)
        server.stalls.set() if fault == "stall" else server.kill()
        with pytest.raises(CaptureError, match=said):
            while True:
                camera.read()
        camera.close()
        server.kill()


def test_a_picture_shows_that_gstreamer_does_not_end_the_program(tmp_path: Path) -> None:
    marker = tmp_path / "inside"
    camera = GStreamerCamera(LIVE, CameraOptions(width=64, height=48, fps=10, timeout_s=20, crash_marker=marker))
    camera.open()
    assert marker.exists()
    camera.read()
    assert not marker.exists()
    camera.close()


def test_without_pygobject_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gi", None)
    options = CameraOptions(width=640, height=480, fps=10, timeout_s=1, rotate=90)
    camera = make_camera("gst: videotestsrc", options, None)
    assert camera is not None
    assert camera.name == "gst videotestsrc"
    with pytest.raises(
        CaptureError, match=r"apt install python3-gi gir1.2-gst-plugins-base-1.0 .*--system-site-packages"
    ):
        camera.open()


def test_a_live_picture_is_turned_and_cropped() -> None:
    options = CameraOptions(width=640, height=480, fps=10, timeout_s=20, rotate=90, crop=Crop.parse("0,0,0.5,0.5"))
    camera = make_camera("gst: videotestsrc is-live=true ! video/x-raw,width=320,height=240", options, None)
    assert camera is not None
    camera.open()
    assert camera.read().image.shape == (160, 120)
    camera.close()

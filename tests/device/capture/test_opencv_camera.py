"""HTTP multipart streams that are good, die or hang, and V4L2 devices that are not there."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from affectd.capture.opencv_camera import OpenCvCamera, without_secrets
from affectd.errors import CaptureError


class MjpegServer(ThreadingHTTPServer):
    """Streams grey pictures, each brighter than the last, at 30 a second. Events end, stall or spoil it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _MjpegHandler)
        self.dead = threading.Event()
        self.hung = threading.Event()
        self.garbage = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/stream.mjpg"


class _MjpegHandler(BaseHTTPRequestHandler):
    server: MjpegServer

    def do_GET(self) -> None:
        if self.server.dead.is_set():
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        number = 0
        while not self.server.dead.wait(1 / 30):
            if self.server.hung.is_set():
                continue
            picture = cv2.imencode(".jpg", np.full((120, 160, 3), number % 256, np.uint8))[1].tobytes()
            if self.server.garbage.is_set():
                picture = b"\xa5" * len(picture)
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + picture + b"\r\n")
            except OSError:
                return
            number += 1

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[MjpegServer]:
    with MjpegServer() as mjpeg:
        threading.Thread(target=mjpeg.serve_forever, daemon=True).start()
        yield mjpeg
        mjpeg.dead.set()
        mjpeg.shutdown()


def make_camera(source: str, fps: float = 10, timeout_s: float = 2) -> OpenCvCamera:
    return OpenCvCamera(source, width=160, height=120, fps=fps, timeout_s=timeout_s)


def test_a_stream_faster_than_asked_is_thinned_and_stays_fresh(server: MjpegServer) -> None:
    camera = make_camera(server.url, fps=10)
    camera.open()
    frames = [camera.read() for _ in range(21)]
    camera.close()

    assert frames[0].image.shape == (120, 160, 3)
    assert [frame.number for frame in frames] == list(range(1, 22))
    brightness = [int(frame.image[60, 80, 0]) for frame in frames]
    # 20 intervals of 0.1 s at 30 pictures a second are 60 pictures.
    assert brightness[-1] - brightness[0] == pytest.approx(60, abs=12)
    assert frames[-1].captured_at - frames[0].captured_at == pytest.approx(2.0, abs=0.6)


def test_garbage_is_an_error_and_the_stream_works_again_when_reopened(server: MjpegServer) -> None:
    camera = make_camera(server.url, fps=30)
    camera.open()
    camera.read()
    server.garbage.set()
    with pytest.raises(CaptureError, match=r"no picture|cannot be decoded"):
        for _ in range(200):
            camera.read()

    server.garbage.clear()
    camera.open()
    assert camera.read().image.shape == (120, 160, 3)
    camera.close()


def test_a_stream_that_dies_is_an_error_and_works_again_when_reopened(server: MjpegServer) -> None:
    camera = make_camera(server.url)
    camera.open()
    camera.read()
    server.dead.set()
    with pytest.raises(CaptureError, match="no picture"):
        for _ in range(200):
            camera.read()
    with pytest.raises(CaptureError, match="cannot be opened"):
        camera.open()

    server.dead.clear()
    camera.open()
    assert camera.read().number == 1
    camera.close()


def test_a_stream_that_hangs_is_an_error_after_the_timeout(server: MjpegServer) -> None:
    camera = make_camera(server.url, timeout_s=1)
    camera.open()
    camera.read()
    server.hung.set()
    started = time.monotonic()
    with pytest.raises(CaptureError, match="no picture"):
        for _ in range(200):
            camera.read()
    assert 0.5 < time.monotonic() - started < 20
    camera.close()


def test_credentials_are_in_no_name_error_or_output(capfd: pytest.CaptureFixture[str]) -> None:
    camera = make_camera("rtsp://kiosk:hunter2@127.0.0.1:9/live?token=sesame", timeout_s=1)
    with pytest.raises(CaptureError) as caught:
        camera.open()
    output = capfd.readouterr()
    said = camera.name + str(caught.value) + output.out + output.err
    assert "rtsp://127.0.0.1:9/live" in said
    assert not any(secret in said for secret in ("hunter2", "kiosk", "sesame"))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://cam/video", "http://cam/video"),
        ("rtsp://user:p@ss/w?rd#@cam:554/1", "rtsp://cam:554/1"),
        ("http://cam/video?password=x", "http://cam/video"),
    ],
)
def test_an_address_is_shown_without_secrets(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


def test_a_missing_camera_says_what_is_there_and_what_to_do() -> None:
    expected = r"camera /dev/video97: not found; cameras seen: .+; is the cable or ribbon seated\? see README"
    for source in ("97", "/dev/video97"):
        with pytest.raises(CaptureError, match=expected):
            make_camera(source).open()


def test_reading_what_is_not_open_is_an_error() -> None:
    camera = make_camera("97")
    camera.close()
    with pytest.raises(CaptureError, match="not open"):
        camera.read()

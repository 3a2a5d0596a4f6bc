"""The preview's page and picture, served to browsers on this box."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from affectd.errors import AffectdError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from affectd.events import FaceReading, Frame

LOOPBACK = "127.0.0.1"
BANNER = "PREVIEW - this picture stays on this box"
PAGE = f"""<!doctype html><title>affectd preview</title>
<body style="margin:0;background:#222;color:#fff;font:1.2rem sans-serif;text-align:center">
<p style="background:#b00;margin:0;padding:.5rem">{BANNER}</p><img src="/stream" alt="camera">"""
BOUNDARY = "frame"
WAIT_S = 2.0
SEND_S = 20.0
"""A browser that takes no picture for this long, such as one whose machine sleeps, does not watch."""
# A foreign web page may name this port under a host name of its own (DNS rebinding). Any port: ssh may forward it.
OUR_NAMES = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?", re.IGNORECASE)


@contextmanager
def serving(picture: NewestPicture, port: int) -> Iterator[int]:
    """Serve the picture inside, on `port` (0: a free one) of the loopback interface, which it gives. AffectdError."""
    try:
        server = ThreadingHTTPServer((LOOPBACK, port), _handler_for(picture))
    except (OSError, OverflowError) as error:
        raise AffectdError(f"cannot serve on {LOOPBACK}:{port}: {error}; choose another --port") from None
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="preview", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class NewestPicture:
    """The newest picture as JPEG, made only while somebody watches."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jpeg = b""
        self.viewers = 0

    def put(self, jpeg: bytes) -> None:
        """Replace the picture and wake those who wait."""
        with self._changed:
            self._jpeg = jpeg
            self._changed.notify_all()

    def wait(self) -> bytes:
        """Return the next picture; empty when none came in time."""
        with self._changed:
            return self._jpeg if self._changed.wait(WAIT_S) else b""

    def watch(self, change: int) -> None:
        """Count a viewer in (1) or out (-1)."""
        with self._changed:
            self.viewers += change


def drawn(frame: Frame, reading: FaceReading) -> bytes:
    """Return the frame with its faces and the banner as JPEG."""
    import cv2

    from affectd.events import LABELS

    image: NDArray[np.uint8] = frame.image.copy()
    height, width = image.shape[:2]
    for face in reading.faces:
        best = max(range(len(LABELS)), key=lambda i: face.probabilities[i])
        left, top = int(face.box.x * width), int(face.box.y * height)
        right, bottom = left + int(face.box.width * width), top + int(face.box.height * height)
        text = f"#{face.track} {LABELS[best]} {face.probabilities[best]:.0%} q{face.quality:.2f}"
        cv2.rectangle(image, (left, top), (right, bottom), (80, 220, 80), 2)
        cv2.putText(image, text, (left, max(40, top - 6)), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (80, 220, 80), 1, cv2.LINE_AA)
    cv2.putText(image, BANNER, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (60, 60, 255), 1, cv2.LINE_AA)
    return bytes(cv2.imencode(".jpg", image)[1])


def _handler_for(picture: NewestPicture) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Serves the page and the stream."""

        timeout = SEND_S

        def do_GET(self) -> None:
            if OUR_NAMES.fullmatch(self.headers.get("Host", "")) is None:
                self.send_error(HTTPStatus.FORBIDDEN)
            elif self.path == "/":
                self._send_page()
            elif self.path == "/stream":
                self._send_stream()
            else:
                self.send_error(HTTPStatus.NOT_FOUND)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (the base class's name)
            """Log nothing."""

        def _send_page(self) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(PAGE.encode())

        def _send_stream(self) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            picture.watch(1)
            try:
                while jpeg := picture.wait():
                    self.wfile.write(f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n\r\n".encode() + jpeg + b"\r\n")
            except (ConnectionError, TimeoutError):  # the browser has left, or sleeps
                self.close_connection = True
            finally:
                picture.watch(-1)

    return Handler

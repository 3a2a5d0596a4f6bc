"""Show the camera's picture with what is read in it to a browser on this box, and to nobody else."""

from __future__ import annotations

import argparse
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from affectd.cli.options import add_config_option, load_config
from affectd.errors import AffectdError, CaptureError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from affectd.capture.protocols import Camera
    from affectd.events import FaceReading, Frame
    from affectd.face.reader import FaceReader

HELP = "show the camera's picture to a browser on this box"
LOOPBACK = "127.0.0.1"
BANNER = "PREVIEW - this picture stays on this box"
PAGE = f"""<!doctype html><title>affectd preview</title>
<body style="margin:0;background:#222;color:#fff;font:1.2rem sans-serif;text-align:center">
<p style="background:#b00;margin:0;padding:.5rem">{BANNER}</p><img src="/stream" alt="camera">"""
BOUNDARY = "frame"
WAIT_S = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `affectd preview`."""
    add_config_option(parser)
    parser.add_argument("--port", type=int, default=8090, metavar="N", help="port on 127.0.0.1 (default 8090)")


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C, the clip ends, or privacy is switched on."""
    from affectd import assembly
    from affectd.capture.protocols import EndOfClipError

    config = load_config(args)
    privacy = assembly.privacy_sources(config)
    privacy.require_off()
    camera = assembly.make_camera(config, assembly.open_clip(config, realtime=True, loop=True))
    model = assembly.open_configured_model(config, "face")
    if camera is None or model is None:
        raise CaptureError("nothing to preview: camera.source or inference.face is off, or the clip has no pictures")
    reader = assembly.make_face_reader(config, model)
    picture = NewestPicture()
    try:
        server = ThreadingHTTPServer((LOOPBACK, args.port), _handler_for(picture))
    except (OSError, OverflowError) as error:
        raise AffectdError(f"cannot serve on {LOOPBACK}:{args.port}: {error}; choose another --port") from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="preview", daemon=True).start()
    print(f"http://{LOOPBACK}:{server.server_port}/ shows {camera.name} to this box only; Ctrl-C ends", flush=True)
    try:
        camera.open()
        while True:
            _look(camera, reader, picture)
            privacy.require_off()
    except EndOfClipError:
        return 0
    finally:
        camera.close()
        server.shutdown()


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
        """Give the next picture; empty when none came in time."""
        with self._changed:
            return self._jpeg if self._changed.wait(WAIT_S) else b""

    def watch(self, change: int) -> None:
        """Count a viewer in (1) or out (-1)."""
        with self._changed:
            self.viewers += change


def _look(camera: Camera, reader: FaceReader, picture: NewestPicture) -> None:
    frame = camera.read()
    reading = reader.read(frame)
    if picture.viewers:
        picture.put(_drawn(frame, reading))


def _drawn(frame: Frame, reading: FaceReading) -> bytes:
    """Give the frame with its faces and the banner as JPEG."""
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

        def do_GET(self) -> None:
            # A foreign web page may name this port under a host name of its own (DNS rebinding).
            if self.headers.get("Host", "").partition(":")[0] not in (LOOPBACK, "localhost"):
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
            except ConnectionError:  # the browser has left
                self.close_connection = True
            finally:
                picture.watch(-1)

    return Handler

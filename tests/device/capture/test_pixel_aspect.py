"""Pixels that are not square: the scene is the same whatever shape a clip or a stream stores it in."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.assembly import make_face_detector
from affectd.capture.camera_options import CameraOptions
from affectd.capture.clip import Clip
from affectd.capture.opencv_camera import OpenCvCamera
from affectd.capture.pixel_aspect import LONGEST_SIDE, aspect_of_jpeg, plausible_aspect, with_square_pixels
from affectd.capture.protocols import Camera, EndOfClipError
from affectd.config import Config, FaceConfig
from affectd.events import Frame
from affectd.face.preprocess import FacePreprocessing
from affectd.face.reader import FaceReader
from support.media import write_clip
from support.scenes import scene

SQUARE = scene((360, 200, 130), width=704, height=480)
IDENTITY = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
QUARTER_TURN_CLOCKWISE = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
ASPECTS = [
    Fraction(2),
    Fraction(1, 2),
    Fraction(16, 11),
    Fraction(12, 11),
    Fraction(4, 3),
    Fraction(8, 3),
    Fraction(3, 5),
]


def stored(aspect: Fraction, picture: NDArray[np.uint8] = SQUARE) -> NDArray[np.uint8]:
    """Squeeze a picture as a camera with such pixels does; sides stay even, as H.264 wants them."""
    rows, columns = picture.shape[:2]
    width, height = columns / max(aspect, Fraction(1)), rows * min(aspect, Fraction(1))
    size = (2 * round(width / 2), 2 * round(height / 2))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def pictures(camera: Camera | None) -> Iterator[Frame]:
    assert camera is not None
    camera.open()
    try:
        while True:
            yield camera.read()
    except EndOfClipError:
        return
    finally:
        camera.close()


def first(path: Path, pixel_aspect: Fraction | None = None) -> NDArray[np.uint8]:
    clip = Clip(path, realtime=False, loop=False, fps=25, pixel_aspect=pixel_aspect)
    return next(pictures(clip.camera)).image


@pytest.mark.parametrize("aspect", ASPECTS, ids=str)
@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "libx264"), ("mkv", "libx264"), ("ts", "libx264"), ("avi", "mpeg4")]
)
def test_a_clip_shows_the_scene_in_its_shape(tmp_path: Path, suffix: str, codec: str, aspect: Fraction) -> None:
    frames = [stored(aspect)] * 3
    seen = first(write_clip(tmp_path / f"clip.{suffix}", frames=frames, codec=codec, pixel_aspect=aspect))
    scale = max(1, 1 / aspect) * frames[0].shape[0] / 480
    assert seen.shape[:2] == pytest.approx((480 * scale, 704 * scale), abs=6)
    same = cv2.resize(seen, (704, 480))
    assert np.abs(same.astype(int) - SQUARE).mean() < 8


@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(3, 5), *ASPECTS], ids=str)
@pytest.mark.parametrize("detector", ["haar", "blazeface"])
def test_the_face_is_found_where_it_is(tmp_path: Path, detector: str, aspect: Fraction) -> None:
    class Model:
        def probabilities(self, x: NDArray[np.float32]) -> tuple[float, ...]:
            return (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)

    path = write_clip(tmp_path / "clip.mp4", frames=[stored(aspect)] * 5, pixel_aspect=aspect)
    faces = make_face_detector(Config(face=FaceConfig(detector=detector)))
    reader = FaceReader.create(Model(), FacePreprocessing(), faces)
    readings = [reader.read(frame) for frame in pictures(Clip(path, realtime=False, loop=False, fps=25).camera)]
    assert [bool(reading.faces) for reading in readings] == [False, True, True, True, True]
    box = readings[-1].faces[0].box
    assert (box.x + box.width / 2, box.y + box.height / 2) == pytest.approx((360 / 704, 200 / 480), abs=0.03)
    assert (704 * box.width) / (480 * box.height) == pytest.approx(1, abs=0.05)


def test_mpeg2_tells_the_pictures_shape(tmp_path: Path) -> None:
    frames = [stored(Fraction(4, 3), cv2.resize(SQUARE, (640, 480)))] * 3
    path = write_clip(tmp_path / "clip.mpg", frames=frames, codec="mpeg2video", pixel_aspect=Fraction(4, 3))
    assert first(path).shape == (480, 640, 3)


def test_a_phone_turns_the_picture_after_its_pixels_are_square(tmp_path: Path) -> None:
    frames = [stored(Fraction(2), np.ascontiguousarray(np.rot90(SQUARE)))] * 3
    path = write_clip(tmp_path / "turned.mp4", frames=frames, pixel_aspect=Fraction(2))
    before, between, after = path.read_bytes().split(IDENTITY)
    path.write_bytes(before + IDENTITY + between + QUARTER_TURN_CLOCKWISE + after)
    seen = first(path)
    assert seen.shape == SQUARE.shape
    assert np.abs(seen.astype(int) - SQUARE).mean() < 8


def test_the_shape_may_change_in_the_middle(tmp_path: Path) -> None:
    parts = []
    for number, aspect in enumerate((Fraction(2), Fraction(1, 2), Fraction(2))):
        frames = [np.full((120, 160, 3), 60 * number, np.uint8)] * 25
        path, options = tmp_path / f"{number}.ts", {"output_ts_offset": str(number)}
        parts.append(write_clip(path, frames=frames, pixel_aspect=aspect, options=options).read_bytes())
    (tmp_path / "all.ts").write_bytes(b"".join(parts))
    shapes: dict[int, set[tuple[int, ...]]] = {}
    for frame in pictures(Clip(tmp_path / "all.ts", realtime=False, loop=False, fps=25).camera):
        shapes.setdefault(round(frame.image.mean() / 60), set()).add(frame.image.shape[:2])
    assert shapes == {0: {(120, 320)}, 1: {(240, 160)}, 2: {(120, 320)}}


def test_a_setting_overrules_the_clip_and_helps_one_that_tells_nothing(tmp_path: Path) -> None:
    frames = [stored(Fraction(2))] * 3
    for told in (Fraction(1, 2), None):
        path = write_clip(tmp_path / "clip.mp4", frames=frames, pixel_aspect=told)
        assert first(path, Fraction(2)).shape == SQUARE.shape


@pytest.mark.parametrize("told", [Fraction(100), Fraction(1, 255), Fraction(1)], ids=str)
def test_nonsense_counts_as_square(tmp_path: Path, told: Fraction) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=[SQUARE] * 3, pixel_aspect=told)
    assert first(path).shape == SQUARE.shape


@pytest.mark.parametrize("told", [(0, 1), (1, 0), (-1, 1), (float("nan"), 1), (float("inf"), 1), (9, 1), (1, 9)])
def test_what_is_no_aspect_is_not_believed(told: tuple[float, float]) -> None:
    assert plausible_aspect(*told) is None


@pytest.mark.parametrize("shape", [(2160, 3840, 3), (1080, 8, 3), (1, 1), (4320, 7680)])
@pytest.mark.parametrize("aspect", [Fraction(8), Fraction(1, 8)])
def test_no_picture_grows_beyond_bounds(shape: tuple[int, ...], aspect: Fraction) -> None:
    image = with_square_pixels(np.zeros(shape, np.uint8), aspect)
    assert image.ndim == len(shape)
    assert max(image.shape[:2]) <= max(LONGEST_SIDE, *shape)
    if min(shape[:2]) > 100:
        assert image.shape[1] / image.shape[0] == pytest.approx(shape[1] / shape[0] * aspect, rel=0.01)


class StreamServer(ThreadingHTTPServer):
    """Sends the same bytes again and again to whom it serves."""

    daemon_threads = True

    def __init__(self, kind: str, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.kind, self.content = kind, content
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: StreamServer

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", self.server.kind)
        self.end_headers()
        try:
            while True:
                self.wfile.write(self.server.content)
        except OSError:
            return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def streamed(kind: str, content: bytes, pixel_aspect: Fraction | None = None) -> NDArray[np.uint8]:
    with StreamServer(kind, content) as server:
        url = f"http://127.0.0.1:{server.server_port}/stream"
        options = CameraOptions(width=160, height=120, fps=60, timeout_s=20, pixel_aspect=pixel_aspect)
        camera = OpenCvCamera(url, options)
        camera.open()
        image = [camera.read() for _ in range(3)][-1].image
        camera.close()
    return image


def jpeg(aspect: Fraction, picture: NDArray[np.uint8]) -> bytes:
    """Make a JPEG whose JFIF header tells the aspect as FFmpeg writes it."""
    coded: bytes = cv2.imencode(".jpg", picture)[1].tobytes()
    assert coded[6:11] == b"JFIF\0"
    return coded[:13] + struct.pack(">BHH", 0, aspect.numerator, aspect.denominator) + coded[18:]


@pytest.mark.parametrize("aspect", [Fraction(2), Fraction(1, 2), Fraction(16, 11)], ids=str)
def test_a_network_camera_shows_the_scene_in_its_shape(tmp_path: Path, aspect: Fraction) -> None:
    small = cv2.resize(SQUARE, (352, 240))
    rows, columns = with_square_pixels(stored(aspect, small), aspect).shape[:2]
    clip = write_clip(tmp_path / "clip.ts", frames=[stored(aspect, small)] * 50, pixel_aspect=aspect)
    assert streamed("video/mp2t", clip.read_bytes()).shape == (rows, columns, 3)
    picture = jpeg(aspect, stored(aspect, small))
    part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(picture), picture)
    kind = "multipart/x-mixed-replace; boundary=frame"
    assert streamed(kind, part).shape == (rows, columns, 3)
    assert streamed(kind, part, Fraction(1)).shape == stored(aspect, small).shape


def test_only_a_jpeg_with_an_aspect_tells_one() -> None:
    told = jpeg(Fraction(16, 11), SQUARE)
    assert aspect_of_jpeg(told) == Fraction(16, 11)
    assert aspect_of_jpeg(told[:13] + struct.pack(">BHH", 1, 72, 72) + told[18:]) is None  # dots per inch
    for broken in (b"", told[:16], b"\xff\xd8" + told[20:], bytes(40), told[:14] + bytes(4) + told[18:]):
        assert aspect_of_jpeg(broken) is None

"""What is asked of a Pi camera, what is made of what it gives, and what of it is a sentence.

picamera2 is a stand-in here, with the modes and controls that a Camera Module 3 was published to have; scripts/boards/
picamera proves the same class on the real one.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import sys
import time
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from affectd.capture.camera_options import CameraOptions
from affectd.capture.crop import Crop
from affectd.capture.picamera import PiCamera
from affectd.capture.picamera_library import list_picameras
from affectd.errors import CaptureError

MODES = [
    {"size": (1536, 864), "crop_limits": (768, 432, 3072, 1728), "fps": 120.13, "bit_depth": 10},
    {"size": (2304, 1296), "crop_limits": (0, 0, 4608, 2592), "fps": 56.03, "bit_depth": 10},
    {"size": (4608, 2592), "crop_limits": (0, 0, 4608, 2592), "fps": 14.35, "bit_depth": 10},
]
CONTROLS = {
    "AfMode": (0, 2, 0),
    "FrameDurationLimits": (17849, 220417486, 33333),
    "ScalerCrop": ((0, 0, 64, 64), (0, 0, 4608, 2592), (576, 0, 3456, 2592)),
}
AT_0 = "/base/axi/pcie@120000/rp1/i2c@88000/imx708@1a"
AT_1 = "/base/axi/pcie@120000/rp1/i2c@80000/imx219@10"
OPTIONS = CameraOptions(width=640, height=480, fps=10, timeout_s=1)


class Board:
    """A Pi: its cameras, what they offer and give, and what was asked of them."""

    def __init__(self) -> None:
        self.cameras = [{"Model": "imx708", "Id": AT_0}, {"Model": "imx219", "Id": AT_1}]
        self.modes: Any = MODES
        self.controls = dict(CONTROLS)
        self.flips = True
        """Whether the ISP makes the flips that are asked of it."""
        self.format, self.padding = "YUV420", 64
        self.metadata: Any = lambda: {"SensorTimestamp": time.clock_gettime_ns(time.CLOCK_BOOTTIME)}
        self.fault: Exception | None = None
        """What the next request ends in."""
        self.opened: list[int] = []
        self.asked: dict[str, Any] = {}
        self.set: dict[str, Any] = {}
        self.held = 0
        """Requests that were not released."""


def transform(hflip: bool = False, vflip: bool = False) -> SimpleNamespace:
    return SimpleNamespace(hflip=hflip, vflip=vflip)


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    board = Board()

    class Request:
        def get_metadata(self) -> Any:
            return board.metadata()

        def make_buffer(self, name: str) -> Any:
            assert name == "main"
            return buffer_of(board.asked["main"]["size"], board.format, board.padding)

        def release(self) -> None:
            board.held -= 1

    class Picamera2:
        def __init__(self, number: int) -> None:
            board.opened.append(number)
            self.camera_controls = board.controls
            self.camera_properties = {"PixelArraySize": (4608, 2592)}

        @staticmethod
        def global_camera_info() -> list[dict[str, str]]:
            return board.cameras

        @property
        def sensor_modes(self) -> Any:
            if isinstance(board.modes, Exception):
                raise board.modes
            return board.modes

        def create_video_configuration(self, **asked: Any) -> dict[str, Any]:
            return asked

        def configure(self, asked: dict[str, Any]) -> None:
            board.asked = asked

        def camera_configuration(self) -> dict[str, Any]:
            size = board.asked["main"]["size"]
            stride = row_bytes(size[0], board.format, board.padding)
            return {
                "main": {"size": size, "format": board.format, "stride": stride},
                "transform": board.asked["transform"] if board.flips else transform(),
                "colour_space": SimpleNamespace(range="Range.Full"),
            }

        def set_controls(self, controls: dict[str, Any]) -> None:
            board.set = controls

        def start(self) -> None:
            pass

        def capture_request(self, wait: bool) -> SimpleNamespace:
            assert not wait
            if board.fault is not None:
                fault = board.fault

                def get_result(timeout: float) -> Any:
                    raise fault
            else:

                def get_result(timeout: float) -> Any:
                    board.held += 1
                    return Request()

            return SimpleNamespace(get_result=get_result)

        def cancel_all_and_flush(self) -> None:
            pass

        def close(self) -> None:
            pass

    picamera2, libcamera = ModuleType("picamera2"), ModuleType("libcamera")
    picamera2.__spec__ = ModuleSpec("picamera2", None)
    picamera2.Picamera2 = Picamera2  # type: ignore[attr-defined]
    libcamera.Transform = transform  # type: ignore[attr-defined]
    libcamera.ColorSpace = SimpleNamespace(Sycc=lambda: "sycc")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", picamera2)
    monkeypatch.setitem(sys.modules, "libcamera", libcamera)
    return board


def row_bytes(width: int, kind: str, padding: int) -> int:
    return {"YUV420": 1, "NV12": 1, "YUYV": 2, "RGB888": 3, "XBGR8888": 4}.get(kind, 1) * width + padding


def buffer_of(size: tuple[int, int], kind: str, padding: int) -> Any:
    """Return a scene that is bright in its top left quarter, as a buffer of this format; chroma and padding are 255."""
    width, height = size
    scene = np.full((height, width), 40, np.uint8)
    scene[: height // 2, : width // 2] = 200
    chroma = np.full((height // 2, row_bytes(width, kind, padding)), 255, np.uint8)
    pixels = {
        "YUYV": np.stack([scene, np.full_like(scene, 255)], axis=2),
        "RGB888": np.repeat(scene[:, :, None], 3, axis=2),
        "XBGR8888": np.dstack([scene, scene, scene, np.full_like(scene, 255)]),
    }.get(kind, scene).reshape(height, -1)
    rows = np.pad(pixels, ((0, 0), (0, padding)), constant_values=255)
    return np.concatenate([rows, chroma]).ravel() if kind in ("YUV420", "NV12") else rows.ravel()


def opened(board: Board, wanted: str = "", **changes: Any) -> PiCamera:
    camera = PiCamera(dataclasses.replace(OPTIONS, **changes), wanted)
    camera.open()
    return camera


def bright_corner(image: Any) -> str:
    rows, columns = image.shape
    bright = {(top, left) for top in (0, 1) for left in (0, 1) if image[top * (rows - 1), left * (columns - 1)] > 150}
    names = {(0, 0): "top left", (0, 1): "top right", (1, 0): "bottom left", (1, 1): "bottom right"}
    return names[bright.pop()] if len(bright) == 1 else f"{len(bright)} corners"


def test_the_whole_field_of_view_is_asked_for_in_focus_at_the_rate(board: Board) -> None:
    image = opened(board).read().image
    assert board.asked["sensor"] == {"output_size": (2304, 1296), "bit_depth": 10}
    assert board.asked["main"] == {"size": (640, 360), "format": "YUV420"}
    assert board.set == {"AfMode": 2, "FrameDurationLimits": (100_000, 100_000)}
    assert (image.shape, image.dtype, bright_corner(image)) == ((360, 640), np.uint8, "top left")
    assert board.held == 0


def test_a_rate_that_the_sensor_has_not_is_brought_near(board: Board) -> None:
    opened(board, fps=60)
    assert board.set["FrameDurationLimits"] == (17849, 17849)
    del board.controls["AfMode"], board.controls["FrameDurationLimits"]  # a fixed lens
    opened(board)
    assert board.set == {}


def test_lamps_that_flicker_are_allowed_for(board: Board) -> None:
    board.controls["AeFlickerPeriod"] = (100, 1_000_000)
    for power_line_hz, period_us in {"50": 10_000, "60": 8333, "auto": None, "off": None}.items():
        opened(board, power_line_hz=power_line_hz)
        assert board.set.get("AeFlickerPeriod") == period_us
        assert board.set.get("AeFlickerMode") == (period_us and 1)


@pytest.mark.parametrize("kind", ["YUV420", "NV12", "YUYV", "RGB888", "XBGR8888"])
def test_the_picture_is_read_in_the_format_that_was_granted(board: Board, kind: str) -> None:
    board.format = kind
    image = opened(board).read().image
    assert image.shape == (360, 640)
    assert bright_corner(image) == "top left"
    assert set(np.unique(image)) == {40, 200}


def test_the_picture_is_in_colour_where_that_is_wanted(board: Board) -> None:
    image = opened(board, colour=True, rotate=180, crop=Crop(0, 0, 0.5, 0.5)).read().image
    assert image.shape[2] == 3
    blue, green, red = image.reshape(-1, 3).astype(int).mean(axis=0)  # its chroma is 255 all over
    assert min(blue, red) > green + 50


def test_a_format_that_is_not_known_is_a_sentence(board: Board) -> None:
    board.format = "BGR161616"
    with pytest.raises(CaptureError, match="camera picamera imx708: sends pictures in the format BGR161616"):
        opened(board).read()
    assert board.held == 0


@pytest.mark.parametrize("flips", [True, False])
@pytest.mark.parametrize(
    ("rotate", "mirror", "corner"),
    [
        *((0, True, "top right"), (180, False, "bottom right"), (180, True, "bottom left")),
        *((90, False, "top right"), (270, True, "bottom right")),
    ],
)
def test_it_is_turned_by_the_isp_where_it_can_be_and_else_here(
    board: Board, flips: bool, rotate: int, mirror: bool, corner: str
) -> None:
    board.flips = flips
    image = opened(board, rotate=rotate, mirror=mirror).read().image
    done = board.asked["transform"] if flips else transform()
    # The stand-in leaves to its caller what a Pi's ISP would have flipped.
    seen = image[:: -1 if done.vflip else 1, :: -1 if done.hflip else 1]
    assert bright_corner(seen) == corner
    by_isp = rotate in (0, 180)
    assert (board.asked["transform"].hflip or board.asked["transform"].vflip) == by_isp


def test_what_is_no_pis_camera_is_turned_here(board: Board) -> None:
    board.modes = []  # such as one that takes a flip and does not make it
    image = opened(board, rotate=180).read().image
    assert not board.asked["transform"].hflip
    assert bright_corner(image) == "bottom right"


def test_a_part_is_cut_out_by_the_isp_with_all_the_pixels_it_has(board: Board) -> None:
    half = Crop.parse("0.5,0,0.5,0.5")
    opened(board, crop=half, rotate=180)
    assert board.set["ScalerCrop"] == (2304, 0, 2304, 1296)
    assert board.asked["main"]["size"] == (640, 360)
    board.flips = False
    opened(board, crop=half, rotate=180)
    assert board.set["ScalerCrop"] == (0, 1296, 2304, 1296)  # as it lies in the picture that is turned here
    board.controls["ScalerCrops"] = ((0, 0, 64, 64),)  # a Pi 5
    opened(board, crop=half)
    assert board.set["ScalerCrops"] == [(2304, 0, 2304, 1296)]
    assert "ScalerCrop" not in board.set
    small = Crop.parse("0,0,0.1,0.1")
    opened(board, crop=small)
    assert board.asked["sensor"]["output_size"] == (4608, 2592)
    assert board.asked["main"]["size"] == (460, 260)  # there are no more pixels


def test_a_part_is_cut_out_here_where_the_isp_cannot(board: Board) -> None:
    board.modes = RuntimeError("no raw role")
    image = opened(board, crop=Crop.parse("0,0,0.5,0.5")).read().image
    assert "sensor" not in board.asked
    assert set(board.set) == {"AfMode", "FrameDurationLimits"}
    assert (image.shape, set(np.unique(image))) == ((240, 320), {200})
    board.modes = [{**mode, "crop_limits": (65535,) * 4} for mode in MODES]  # a driver that does not tell what they see
    image = opened(board, crop=Crop.parse("0,0,0.5,0.5")).read().image
    assert board.asked["sensor"]["output_size"] == (4608, 2592)
    assert set(board.set) == {"AfMode", "FrameDurationLimits"}
    assert (image.shape, set(np.unique(image))) == ((180, 320), {200})


@pytest.mark.parametrize("metadata", [None, {}, {"SensorTimestamp": 1}, {"SensorTimestamp": 2**62}])
def test_a_picture_without_a_time_that_can_be_was_taken_now(board: Board, metadata: Any) -> None:
    board.metadata = lambda: metadata
    camera = opened(board)
    before = time.monotonic()
    assert before <= camera.read().captured_at <= time.monotonic()


def test_a_sensor_that_is_too_fast_is_thinned(board: Board) -> None:
    camera = opened(board, fps=20)
    frames = [camera.read() for _ in range(11)]
    assert frames[-1].captured_at - frames[0].captured_at > 0.4  # as many as it could be asked for take no time
    assert [frame.number for frame in frames] == list(range(1, 12))


@pytest.mark.parametrize(
    "fault",
    [
        AssertionError(),
        AttributeError("'NoneType' object has no attribute 'queue_request'"),
        KeyError("main"),
        concurrent.futures.CancelledError(),
        RuntimeError("camera stopped"),
    ],
)
def test_whatever_picamera2_fails_with_is_a_sentence(board: Board, fault: Exception) -> None:
    camera = opened(board)
    board.fault = fault
    with pytest.raises(CaptureError, match=r"camera picamera imx708: failed \(.+\)"):
        camera.read()
    board.fault = concurrent.futures.TimeoutError()
    with pytest.raises(CaptureError, match="no picture for 1 s; is the ribbon seated"):
        camera.read()
    camera.close()
    board.fault = None
    camera.open()
    assert camera.read().number == 1


def test_a_camera_that_tells_nothing_of_itself_is_a_sentence(board: Board) -> None:
    board.metadata = None  # calling it fails
    with pytest.raises(CaptureError, match="failed"):
        opened(board).read()
    assert board.held == 0


def test_one_of_several_is_named_by_number_model_or_place(board: Board) -> None:
    assert list_picameras() == [(f"picamera:{AT_0}", "imx708"), (f"picamera:{AT_1}", "imx219")]
    for wanted, name in {"": "imx708", "1": "imx219", "imx219": "imx219", AT_1: "imx219"}.items():
        assert opened(board, wanted).name == f"picamera {name}"
    assert board.opened == [0, 1, 1, 1]
    with pytest.raises(CaptureError, match=rf"picamera:2: there is no such camera; there are 0 \(imx708 at {AT_0}\)"):
        opened(board, "2")
    board.cameras[1]["Model"] = "imx708"
    with pytest.raises(CaptureError, match="more than one is called so"):
        opened(board, "imx708")
    board.cameras.insert(0, {"Model": "HD Webcam", "Id": "/base/scb/pcie@7d500000/usb@1,0-1.3:1.0-046d:0825"})
    board.opened = []
    opened(board)
    assert board.opened == [1]  # its place among all
    del board.cameras[:2]
    assert list_picameras() == [("picamera", "imx708")]


def test_an_end_inside_libcamera_is_told_by_the_next_start(board: Board, tmp_path: Path) -> None:
    marker = tmp_path / "inside"
    camera = opened(board, crash_marker=marker)
    assert marker.exists()
    camera.read()
    assert not marker.exists()
    camera.close()
    camera.open()
    camera.close()
    assert not marker.exists()

"""What `auto` finds at each opening: other numbers, a Pi's camera that is late, libcamera that fails."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectd.capture import auto_camera
from affectd.capture.auto_camera import AutoCamera
from affectd.capture.camera_options import CameraOptions
from affectd.capture.picamera import PiCamera
from affectd.capture.v4l2 import listing
from affectd.capture.v4l2.listing import Node
from affectd.errors import CaptureError
from affectd.events import Frame

PICAMERA2 = """
class Picamera2:
    answer = []

    @classmethod
    def global_camera_info(cls):
        if isinstance(cls.answer, Exception):
            raise cls.answer
        return cls.answer
"""
IMX708 = {"Num": 0, "Model": "imx708", "Id": "/base/soc/i2c0mux/i2c@1/imx708@1a"}
USB = {"Num": 0, "Model": "HD Webcam", "Id": "/base/scb/pcie@7d500000/usb@1,0-1.3:1.0-046d:0825"}
FAULTS = [RuntimeError("Camera __init__ sequence did not complete."), OSError("busy"), IndexError("list index")]


class Box:
    """What is plugged in, and what was done with it."""

    def __init__(self) -> None:
        self.v4l2 = ["/dev/video0"]
        self.blind: set[str] = set()
        """Cameras that open, and give no picture."""
        self.made: list[str] = []
        self.open: set[str] = set()

    def make(self, source: str) -> PluggedIn:
        self.made.append(source)
        return PluggedIn(source, self)


class PluggedIn:
    """A camera that can be opened while it is plugged in."""

    mode = None

    def __init__(self, source: str, box: Box) -> None:
        self.name, self._box = source, box

    def open(self) -> None:
        if self.name != "picamera" and self.name not in self._box.v4l2:
            raise CaptureError(f"camera {self.name}: not found")
        self._box.open.add(self.name)

    def read(self) -> Frame:
        if self.name in self._box.blind or self.name not in self._box.open & {"picamera", *self._box.v4l2}:
            raise CaptureError(f"camera {self.name}: no picture")
        return Frame(np.zeros((120, 160, 3), np.uint8), 1.0, 1)

    def close(self) -> None:
        self._box.open.discard(self.name)


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Box:
    box = Box()
    monkeypatch.setattr(auto_camera, "list_v4l2_cameras", lambda: [Node(path, "HD Webcam", path) for path in box.v4l2])
    return box


@pytest.fixture
def picamera2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The class of picamera2, which is installed where its `answer` lists a camera or is raised."""
    (tmp_path / "picamera2.py").write_text(PICAMERA2)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    import picamera2

    yield picamera2.Picamera2
    sys.modules.pop("picamera2", None)


def test_a_camera_that_comes_back_under_another_number_is_found_again(box: Box) -> None:
    camera = AutoCamera(box.make, 5)
    camera.open()
    assert (camera.name, camera.read().number) == ("/dev/video0", 1)
    box.v4l2 = []
    with pytest.raises(CaptureError, match="no picture"):
        camera.read()
    with pytest.raises(CaptureError, match=r"no camera found; is the cable or ribbon seated\? see README, Cameras"):
        camera.open()
    box.v4l2 = ["/dev/video2"]
    camera.open()
    assert (camera.name, camera.read().number) == ("/dev/video2", 1)
    assert box.open == {"/dev/video2"}
    camera.close()
    assert box.open == set()


def test_the_same_camera_is_kept_for_it_knows_how_long_its_picture_has_stood_still(box: Box) -> None:
    camera = AutoCamera(box.make, 5)
    for _ in range(3):
        camera.open()
    assert box.made == ["/dev/video0"]


def test_before_it_is_opened_nothing_is_looked_for(box: Box) -> None:
    box.v4l2 = []
    camera = AutoCamera(box.make, 5)
    with pytest.raises(CaptureError, match="not open"):
        camera.read()
    camera.close()
    assert box.made == []


def test_a_pis_camera_that_is_late_is_taken_once_it_is_there(box: Box, picamera2: Any) -> None:
    picamera2.answer = [USB]  # which V4L2 serves better
    camera = AutoCamera(box.make, 5)
    camera.open()
    assert camera.name == "/dev/video0"
    picamera2.answer = [IMX708, USB]
    camera.open()
    assert camera.name == "picamera"
    assert box.open == {"picamera"}


def test_the_first_that_gives_a_picture_is_taken(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    box.v4l2 = ["/dev/video0", "/dev/video1", "/dev/video2"]
    box.blind = {"/dev/video0", "/dev/video1"}
    camera = AutoCamera(box.make, 5)
    camera.open()
    assert camera.name == "/dev/video2"
    assert box.open == {"/dev/video2"}
    assert "/dev/video0: no picture; camera /dev/video1: no picture; taking /dev/video2 instead" in caplog.text
    box.blind = {*box.v4l2}
    with pytest.raises(CaptureError):
        [camera.read() for _ in range(2)]
    with pytest.raises(CaptureError, match=r"video0: no picture; .*video1: no picture; .*video2: no picture"):
        camera.open()
    assert box.open == set()
    box.blind = set()
    camera.open()
    assert camera.name == "/dev/video0"


def test_one_that_fails_after_its_first_pictures_is_tried_last(box: Box) -> None:
    box.v4l2 = ["/dev/video0", "/dev/video1"]
    camera = AutoCamera(box.make, 5)
    camera.open()
    assert (camera.name, camera.read().number) == ("/dev/video0", 1)
    box.blind = {"/dev/video0"}
    with pytest.raises(CaptureError):
        camera.read()
    box.blind = set()
    camera.open()
    assert camera.name == "/dev/video1"


def test_slow_failures_share_the_time_of_one_opening(box: Box) -> None:
    box.v4l2, box.blind = ["/dev/video0", "/dev/video1"], {"/dev/video0"}
    camera = AutoCamera(box.make, -1)  # is over after the first
    with pytest.raises(CaptureError, match=r"/dev/video0: no picture$"):
        camera.open()
    camera.open()
    assert camera.name == "/dev/video1"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_libcamera_that_fails_leaves_the_other_cameras(
    fault: Exception, box: Box, picamera2: Any, caplog: pytest.LogCaptureFixture
) -> None:
    picamera2.answer = fault
    camera = AutoCamera(box.make, 5)
    for _ in range(3):
        camera.open()
    assert camera.name == "/dev/video0"
    assert caplog.text.count(f"libcamera cannot list cameras ({fault})") == 1
    assert "taking /dev/video0 instead" in caplog.text
    box.v4l2 = []
    with pytest.raises(CaptureError, match="libcamera cannot list cameras"):
        camera.open()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_libcamera_that_fails_is_a_sentence_for_picamera_too(fault: Exception, picamera2: Any) -> None:
    picamera2.answer = fault
    with pytest.raises(CaptureError, match="libcamera cannot list cameras"):
        PiCamera(CameraOptions(width=640, height=480, fps=10, timeout_s=1)).open()


def test_a_picamera2_that_does_not_fit_numpy_is_a_sentence(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "picamera2.py").write_text("raise ValueError('numpy.dtype size changed')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    camera = AutoCamera(box.make, 5)
    camera.open()
    assert camera.name == "/dev/video0"
    assert "picamera2 cannot be loaded (numpy.dtype size changed)" in caplog.text


def test_a_camera_that_is_unplugged_while_it_is_looked_at_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "video7").mkdir()  # its name has gone already
    monkeypatch.setattr(listing, "SYSFS", tmp_path)
    assert listing.list_v4l2_cameras() == []

"""`affectd cameras`: what it prints of cameras, and where there is none. Real drivers: scripts/boards/v4l2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from affectd.capture.v4l2 import device, listing
from affectd.capture.v4l2.device import SizeOffer
from affectd.cli.main import main

RATES = (30.0, 15.0, 7.5)


class Webcam:
    """A device that answers as a webcam's driver does."""

    driver, bus = "uvcvideo", "usb-0000:00:14.0-1"

    def __init__(self, path: str) -> None:
        if path == "/dev/video2":
            raise PermissionError(13, "Permission denied")

    def __enter__(self) -> Webcam:
        return self

    def __exit__(self, *_: object) -> None:
        """Close nothing."""

    def formats(self) -> list[str]:
        return ["MJPG", "YUYV", "H264", "Y16 "]

    def sizes(self, code: str) -> list[SizeOffer]:
        if code == "Y16 ":
            return [SizeOffer(1920, 1080, (30.0,), (32, 32))]
        return [SizeOffer(640, 480, RATES), SizeOffer(1280, 720, RATES[1:])]


@pytest.fixture
def webcams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        listing.Node("/dev/video0", "HD Webcam", "/dev/v4l/by-id/usb-HD-index0"),
        listing.Node(*["/dev/video2"] * 3),
    ]
    monkeypatch.setattr(listing, "list_v4l2_cameras", lambda: nodes)
    monkeypatch.setattr(device, "Device", Webcam)


def test_each_camera_is_shown_with_what_it_can_do(webcams: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cameras"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "HD Webcam (/dev/video0, uvcvideo, usb-0000:00:14.0-1)",
        '   camera.source = "/dev/v4l/by-id/usb-HD-index0"',
        "   MJPG YUYV: 640x480 at 30/15/7.5 fps, 1280x720 at 15/7.5 fps",
        "   H264: not read here",
        "   Y16: 32x32 to 1920x1080 at 30 fps",
        "/dev/video2 (/dev/video2)",
        '   camera.source = "/dev/video2"',
        "   permission denied: add the user to the group 'video'",
    ]


def test_programs_read_the_same_as_json(webcams: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cameras", "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["source"], first["driver"], first["error"]) == ("/dev/v4l/by-id/usb-HD-index0", "uvcvideo", None)
    assert first["formats"][1] == {
        "format": "YUYV",
        "known": True,
        "sizes": [
            {"width": 640, "height": 480, "smallest": None, "fps": [30.0, 15.0, 7.5]},
            {"width": 1280, "height": 720, "smallest": None, "fps": [15.0, 7.5]},
        ],
    }
    assert not first["formats"][2]["known"]
    assert "group 'video'" in second["error"]


def test_where_there_is_none_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(listing, "SYSFS", tmp_path)
    assert main(["cameras"]) == 5
    told = capsys.readouterr()
    assert (told.out, told.err) == (
        "",
        "affectd: no camera found; is the cable or ribbon seated? see README, Cameras\n",
    )

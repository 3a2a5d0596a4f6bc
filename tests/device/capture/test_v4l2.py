"""V4L2 without a driver: its structures, which nodes are cameras, what is settled on, and what cannot be opened.

The drivers themselves: scripts/boards/v4l2.
"""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from typing import cast

import pytest

from affectd.capture.camera_options import CameraOptions
from affectd.capture.sources import make_camera
from affectd.capture.v4l2 import ioctl, listing
from affectd.capture.v4l2.camera import V4l2Camera
from affectd.capture.v4l2.device import Device, Layout, code_of, number_of
from affectd.capture.v4l2.ioctl import Cap, Control
from affectd.errors import CaptureError

STRUCTURES = {
    "v4l2_capability": ioctl.Capability,
    "v4l2_fmtdesc": ioctl.FormatDescription,
    "v4l2_frmsizeenum": ioctl.FrameSize,
    "v4l2_frmivalenum": ioctl.FrameInterval,
    "v4l2_format": ioctl.Format,
    "v4l2_pix_format": ioctl.PixFormat,
    "v4l2_pix_format_mplane": ioctl.PixFormatMplane,
    "v4l2_streamparm": ioctl.StreamParm,
    "v4l2_requestbuffers": ioctl.RequestBuffers,
    "v4l2_buffer": ioctl.Buffer,
    "v4l2_plane": ioctl.Plane,
    "v4l2_queryctrl": ioctl.ControlQuery,
    "v4l2_control": ioctl.ControlValue,
}
CALLS = (
    "QUERYCAP", "ENUM_FMT", "S_FMT", "REQBUFS", "QUERYBUF", "QBUF", "DQBUF", "STREAMON", "STREAMOFF", "S_PARM",
    "S_CTRL", "QUERYCTRL", "ENUM_FRAMESIZES", "ENUM_FRAMEINTERVALS",
)  # fmt: skip
FIELDS = {
    "v4l2_capability.device_caps": ioctl.Capability.device_caps,
    "v4l2_frmivalenum.discrete": ioctl.FrameInterval.values,
    "v4l2_format.fmt": ioctl.Format.fmt,
    "v4l2_pix_format.quantization": ioctl.PixFormat.quantization,
    "v4l2_pix_format_mplane.plane_fmt": ioctl.PixFormatMplane.planes,
    "v4l2_pix_format_mplane.quantization": ioctl.PixFormatMplane.quantization,
    "v4l2_streamparm.parm": ioctl.StreamParm.parm,
    "v4l2_buffer.timestamp": ioctl.Buffer.seconds,
    "v4l2_buffer.sequence": ioctl.Buffer.sequence,
    "v4l2_buffer.m": ioctl.Buffer.m,
    "v4l2_buffer.length": ioctl.Buffer.length,
    "v4l2_plane.data_offset": ioctl.Plane.data_offset,
    "v4l2_queryctrl.minimum": ioctl.ControlQuery.minimum,
}
CONSTANTS = {
    "V4L2_CAP_VIDEO_M2M": Cap.VIDEO_M2M,
    "V4L2_CAP_VIDEO_M2M_MPLANE": Cap.VIDEO_M2M_MPLANE,
    "V4L2_CAP_STREAMING": Cap.STREAMING,
    "V4L2_CAP_IO_MC": Cap.IO_MC,
    "V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE": ioctl.BufferType.VIDEO_CAPTURE_MPLANE,
    "V4L2_BUF_FLAG_ERROR": ioctl.BufferFlag.ERROR,
    "V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC": ioctl.BufferFlag.TIMESTAMP_MONOTONIC,
    "V4L2_CID_POWER_LINE_FREQUENCY": Control.POWER_LINE_FREQUENCY,
    "V4L2_CID_EXPOSURE_AUTO_PRIORITY": Control.EXPOSURE_AUTO_PRIORITY,
    "V4L2_CAP_TIMEPERFRAME": ioctl.CAN_TIME_PER_FRAME,
    "V4L2_QUANTIZATION_FULL_RANGE": ioctl.QUANTIZATION_FULL_RANGE,
    "V4L2_PIX_FMT_MJPEG": number_of("MJPG"),
    "V4L2_PIX_FMT_BGR24": number_of("BGR3"),
    "V4L2_PIX_FMT_Y16_BE": number_of("Y16 -BE"),
}
WHOLE = Cap.VIDEO_CAPTURE | Cap.STREAMING


def test_structures_and_calls_are_the_kernels(tmp_path: Path) -> None:
    told = [f"sizeof(struct {name})" for name in STRUCTURES]
    told += [f"VIDIOC_{name}" for name in CALLS]
    told += [f"offsetof(struct {place.replace('.', ', ')})" for place in FIELDS]
    told += list(CONSTANTS)
    lines = "".join(f'printf("%lu\\n", (unsigned long)(unsigned)({each}));' for each in told)
    (tmp_path / "v4l2.c").write_text(
        f"#include <stddef.h>\n#include <stdio.h>\n#include <linux/videodev2.h>\nint main(void) {{ {lines} }}"
    )
    subprocess.run(["gcc", "-o", tmp_path / "v4l2", tmp_path / "v4l2.c"], check=True)
    answers = subprocess.run([tmp_path / "v4l2"], check=True, capture_output=True, text=True).stdout.split()
    ours = [ctypes.sizeof(structure) for structure in STRUCTURES.values()]
    ours += [getattr(ioctl, name) for name in CALLS]
    ours += [cast("ctypes._CField[int, int, int]", field).offset for field in FIELDS.values()]
    ours += list(CONSTANTS.values())
    assert dict(zip(told, map(int, answers), strict=True)) == dict(zip(told, map(int, ours), strict=True))


@pytest.mark.parametrize("code", ["MJPG", "YUYV", "Y16 ", "Y16 -BE"])
def test_codes_and_their_numbers(code: str) -> None:
    assert code_of(number_of(code)) == code


@pytest.mark.parametrize(
    ("driver", "caps", "said"),
    [
        ("uvcvideo", 0x0420_0001, ""),
        ("rkisp_v7", 0x0420_1000, ""),
        ("bm2835 mmal", 0x0520_0005, ""),
        ("uvcvideo", 0x04A0_0000, "no node that pictures can be captured from"),
        ("bcm2835-codec", 0x0420_4000, "encoder, decoder or image processor"),
        ("bcm2835-isp", 0x0420_0001, "encoder, decoder or image processor"),
        ("pispbe", 0x2420_1000, "encoder, decoder or image processor"),
        ("rpi-hevc-dec", 0x0420_4000, "encoder, decoder or image processor"),
        ("unknown-codec", 0x0420_8000, "encoder, decoder or image processor"),
        ("rp1-cfe", 0x2420_0001, "encoder, decoder or image processor"),
        ("sun6i-csi", 0x2420_0001, 'set camera.source = "picamera"'),
        ("v4l2 loopback", 0x0520_0002, "no node that pictures can be captured from"),
    ],
)
def test_which_nodes_are_cameras(driver: str, caps: int, said: str) -> None:
    found = listing.no_camera(driver, Cap(caps))
    assert said in found if said else not found


def test_a_link_of_udevs_is_the_stable_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_id, by_path, node = tmp_path / "by-id", tmp_path / "by-path", tmp_path / "video3"
    node.touch()
    by_path.mkdir()
    (by_path / "pci-usb-0:3-video-index0").symlink_to(node)
    monkeypatch.setattr(listing, "STABLE", (by_id, by_path))
    assert listing.stable_path(str(node)) == str(by_path / "pci-usb-0:3-video-index0")
    by_id.mkdir()
    (by_id / "usb-046d_C525-video-index0").symlink_to(node)
    assert listing.stable_path(str(node)) == str(by_id / "usb-046d_C525-video-index0")
    assert listing.stable_path(str(tmp_path / "video4")) == str(tmp_path / "video4")


class Driver:
    """What a camera's driver grants: of each format a size and a rate, whatever is asked."""

    def __init__(self, **granted: tuple[int, int, float]) -> None:
        self._granted = granted
        self._code = ""

    def formats(self) -> list[str]:
        return list(self._granted)

    def set_format(self, code: str, width: int, height: int) -> Layout:
        self._code = code
        return Layout(code, *self._granted[code][:2], 0, full_range=False)

    def set_rate(self, fps: float) -> float:
        return self._granted[self._code][2]


def settled(pixel_format: str = "auto", *, colour: bool = False, **granted: tuple[int, int, float]) -> str:
    options = CameraOptions(width=640, height=480, fps=10, timeout_s=1, pixel_format=pixel_format, colour=colour)
    layout, rate = V4l2Camera("/dev/video0", options)._negotiate(cast(Device, Driver(**granted)))
    return f"{layout.code} {layout.width} {rate:g}"


def test_jpegs_are_taken_first_then_yuyv_and_whatever_gives_size_and_rate() -> None:
    assert settled(YUYV=(640, 480, 30), MJPG=(640, 480, 30)) == "MJPG 640 30"
    assert settled(BGR3=(640, 480, 10), NV12=(640, 480, 10), YUYV=(640, 480, 10)) == "YUYV 640 10"
    assert settled(H264=(640, 480, 30), GREY=(640, 480, 9.98)) == "GREY 640 9.98"
    assert settled(MJPG=(1280, 720, 30), YUYV=(640, 480, 30)) == "YUYV 640 30"
    assert settled(MJPG=(640, 480, 5), YUYV=(640, 480, 10)) == "YUYV 640 10"
    assert settled(MJPG=(640, 480, 0), YUYV=(640, 480, 10)) == "MJPG 640 0"  # this driver does not tell
    assert settled(MJPG=(800, 600, 5), YUYV=(1920, 1080, 5)) == "MJPG 800 5"


def test_colours_count_for_more_than_size_and_rate_where_they_are_wanted() -> None:
    granted = {"GREY": (640, 480, 10.0), "RGGB": (800, 600, 5.0), "Y16 ": (640, 480, 30.0)}
    assert settled(**granted) == "GREY 640 10"
    assert settled(colour=True, **granted) == "RGGB 800 5"
    assert settled(colour=True, GREY=(640, 480, 10)) == "GREY 640 10"


def test_a_format_can_be_named() -> None:
    assert settled("YUYV", MJPG=(640, 480, 30), YUYV=(640, 480, 5)) == "YUYV 640 5"
    with pytest.raises(CaptureError, match=r"does not offer BGR3, which camera.pixel_format names"):
        settled("BGR3", MJPG=(640, 480, 30))
    with pytest.raises(CaptureError, match=r"camera.pixel_format = H264 is not known here"):
        settled("H264", H264=(640, 480, 30))


def test_formats_of_which_none_is_known_are_named() -> None:
    with pytest.raises(CaptureError, match="offers its pictures as H264, HEVC, of which none is known here"):
        settled(H264=(640, 480, 30), HEVC=(640, 480, 30))


def open_error(source: str) -> str:
    camera = make_camera(source, CameraOptions(width=640, height=480, fps=10, timeout_s=1), None)
    assert camera is not None
    with pytest.raises(CaptureError) as told:
        camera.open()
    assert camera.mode is None
    with pytest.raises(CaptureError, match="not open"):
        camera.read()
    camera.close()
    return str(told.value)


def test_a_missing_camera_says_what_is_there_and_what_to_do() -> None:
    for source in ("97", "/dev/video97"):
        told = open_error(source)
        assert told.startswith("camera /dev/video97: not found; cameras seen: ")
        assert told.endswith("; is the cable or ribbon seated? see README, Cameras")


def test_what_is_no_camera_is_told() -> None:
    assert open_error("/dev/null") == "camera /dev/null: cannot be opened; it is no V4L2 device"

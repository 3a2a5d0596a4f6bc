"""Which nodes below /dev are cameras, and by which name each is found again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from affectd.capture.v4l2.device import Device
from affectd.capture.v4l2.ioctl import Cap

SYSFS = Path("/sys/class/video4linux")
STABLE = (Path("/dev/v4l/by-id"), Path("/dev/v4l/by-path"))
"""Where udev links nodes by what is plugged in, and by where."""
NO_CAMERAS = (
    "bcm2835-codec", "bcm2835-isp", "pispbe", "rpivid", "rpi-hevc-dec", "rp1-cfe", "hantro-vpu", "rkvdec",
    "rockchip-rga", "rockchip-iep", "cedrus", "meson-vdec", "tegra-vde", "coda", "mtk-vcodec", "vim2m", "vicodec",
)  # fmt: skip
"""Drivers of encoders, decoders, image processors and sensors for libcamera, some of which report that they capture."""


@dataclass(frozen=True, slots=True)
class Node:
    """A camera's node."""

    path: str
    name: str
    """What its maker or driver calls it."""
    stable_path: str
    """A link that leads to it whatever its number is; its path where there is none."""


def list_v4l2_cameras() -> list[Node]:
    """Return every V4L2 device that is a camera, lowest number first; one that may not be opened counts as one."""
    nodes = []
    for entry in sorted(SYSFS.glob("video*"), key=lambda entry: int(entry.name.removeprefix("video"))):
        path = f"/dev/{entry.name}"
        with suppress(OSError):  # unplugged while it is looked at
            if _is_camera(path):
                nodes.append(Node(path, (entry / "name").read_text().strip(), stable_path(path)))
    return nodes


def no_camera(driver: str, caps: Cap) -> str:
    """Return why a node is no camera, as it follows "is"; nothing for a camera."""
    if caps & (Cap.VIDEO_M2M | Cap.VIDEO_M2M_MPLANE) or driver.startswith(NO_CAMERAS):
        return f"an encoder, decoder or image processor ({driver}), no camera"
    if not caps & (Cap.VIDEO_CAPTURE | Cap.VIDEO_CAPTURE_MPLANE):
        return "no node that pictures can be captured from; a camera's first node is the one"
    if caps & Cap.IO_MC:
        return 'a bare sensor, which only libcamera sets up; set camera.source = "picamera"'
    return ""


def stable_path(path: str) -> str:
    """Return the link that leads to a node whatever its number is; its path where there is none."""
    for folder in STABLE:
        for link in sorted(folder.glob("*")):
            if link.resolve() == Path(path):
                return str(link)
    return path


def _is_camera(path: str) -> bool:
    try:
        with Device(path) as device:
            return not no_camera(device.driver, device.caps)
    except PermissionError:  # opening it reports why
        return True

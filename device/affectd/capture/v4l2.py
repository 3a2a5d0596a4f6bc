"""Which V4L2 cameras the kernel knows."""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path

SYSFS = Path("/sys/class/video4linux")
_CAPABILITY = struct.Struct("=16s32s32sIII12x")
"""struct v4l2_capability of <linux/videodev2.h>: driver, card, bus, version, capabilities, device_caps."""
_VIDIOC_QUERYCAP = 2 << 30 | _CAPABILITY.size << 16 | ord("V") << 8
_VIDEO_CAPTURE = 0x0000_0001 | 0x0000_1000
"""V4L2_CAP_VIDEO_CAPTURE and V4L2_CAP_VIDEO_CAPTURE_MPLANE."""
_IO_MC = 0x2000_0000
"""V4L2_CAP_IO_MC: raw sensor nodes that only libcamera can set up (the Pi's own cameras)."""


def list_v4l2_cameras() -> list[tuple[str, str]]:
    """Give (path, human name) of every V4L2 device that pictures can be captured from, lowest number first."""
    cameras = []
    for node in sorted(SYSFS.glob("video*"), key=lambda node: int(node.name.removeprefix("video"))):
        with suppress(OSError):  # unplugged while it is looked at
            cameras.append((f"/dev/{node.name}", (node / "name").read_text().strip()))
    return [(path, name) for path, name in cameras if _captures(path)]


def _captures(path: str) -> bool:
    """Whether the device captures; one that may not be asked counts, so that opening it says why."""
    try:
        device = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except PermissionError:
        return True
    except OSError:
        return False
    try:
        answer = fcntl.ioctl(device, _VIDIOC_QUERYCAP, bytes(_CAPABILITY.size))
    except OSError:
        return False
    finally:
        os.close(device)
    device_caps = _CAPABILITY.unpack(answer)[5]
    return bool(device_caps & _VIDEO_CAPTURE) and not device_caps & _IO_MC

"""picamera2, which comes with Raspberry Pi OS, and the cameras that it knows."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affectd.capture.crash_marker import CrashMarker
from affectd.errors import CaptureError

LIBRARY = "libcamera"
_FAULTS = (RuntimeError, OSError, LookupError, ValueError, AttributeError, TypeError)
"""What picamera2 raises when libcamera fails, finds no camera, or does not fit it or the numpy that is installed."""


@dataclass(frozen=True, slots=True)
class Connected:
    """A camera on one of the Pi's connectors."""

    number: int
    """Its place in picamera2's list, by which it is opened."""
    model: str
    """The sensor, such as 'imx708_wide'."""
    id: str
    """Where it is connected, which stays the same: '/base/axi/pcie@120000/rp1/i2c@88000/imx708@1a'."""


def load() -> Any:
    """Import picamera2. Raises CaptureError."""
    try:
        import picamera2
    except ImportError as error:
        raise CaptureError(
            f"camera picamera: picamera2 is not installed ({error}); on Raspberry Pi OS run "
            "`apt install python3-picamera2` and make affectd's venv with --system-site-packages"
        ) from error
    except _FAULTS as error:
        raise CaptureError(f"camera picamera: picamera2 cannot be loaded ({error}); install it again") from error
    return picamera2


def connected(library: Any) -> list[Connected]:
    """Return libcamera's cameras without USB ones, which V4L2 serves better. Raises CaptureError."""
    try:
        cameras = library.Picamera2.global_camera_info()
        found = [Connected(number, camera["Model"], camera["Id"]) for number, camera in enumerate(cameras)]
    except _FAULTS as error:
        raise CaptureError(
            f"camera picamera: libcamera cannot list cameras ({error}); does `rpicam-hello --list-cameras`?"
        ) from error
    return [camera for camera in found if "usb" not in camera.id.lower()]


def list_picameras(crash_marker: Path | None = None) -> list[tuple[str, str]]:
    """Return the source and the model of every camera on the Pi's connectors; none without picamera2.

    Raises CaptureError when picamera2 is there and does not work, or has ended the program before, as `crash_marker`
    reports.
    """
    if importlib.util.find_spec("picamera2") is None:
        return []
    marker = CrashMarker(crash_marker, LIBRARY)
    marker.enter("picamera")
    try:
        cameras = connected(load())
    finally:
        marker.leave()
    return [(f"picamera:{camera.id}" if len(cameras) > 1 else "picamera", camera.model) for camera in cameras]


def choose(cameras: list[Connected], wanted: str) -> Connected:
    """Return the camera that a source names after its colon: a number, a model or an id; '' is the first.

    Raises CaptureError, naming those that are there.
    """
    if not cameras:
        raise CaptureError(
            "camera picamera: none found by libcamera; is the ribbon seated? does `rpicam-hello --list-cameras` show "
            "it? see README, Cameras"
        )
    if not wanted:
        return cameras[0]
    if wanted.isdecimal():
        meant = cameras[int(wanted) :][:1]
    else:
        meant = [camera for camera in cameras if wanted in (camera.model, camera.id)]
    if len(meant) == 1:
        return meant[0]
    there = ", ".join(f"{place} ({camera.model} at {camera.id})" for place, camera in enumerate(cameras))
    fault = "more than one is called so; name one by its number or its place" if meant else "there is no such camera"
    raise CaptureError(f"camera picamera:{wanted}: {fault}; there are {there}")

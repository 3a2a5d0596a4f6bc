"""Show every camera: what to write as camera.source, its driver, and the formats, sizes and rates that it offers."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from affectd.cli.terminal import plain
from affectd.config.keys import toml
from affectd.errors import CaptureError

if TYPE_CHECKING:
    from affectd.capture.v4l2.device import SizeOffer
    from affectd.capture.v4l2.listing import Node

HELP = "show every camera with what it can do"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `affectd cameras`."""
    parser.add_argument("--json", action="store_true", help="one JSON line a camera")


def run(args: argparse.Namespace) -> int:
    """List them without taking a picture, which privacy allows. Raises CaptureError without any."""
    from affectd.capture.picamera_library import list_picameras
    from affectd.capture.v4l2.listing import list_v4l2_cameras

    cameras, fault = [], ""
    try:
        cameras = [_libcamera(source, model) for source, model in list_picameras()]
    except CaptureError as error:
        fault = str(error)
    cameras += [_v4l2(node) for node in list_v4l2_cameras()]
    for camera in cameras:
        print(json.dumps(camera) if args.json else "\n".join(map(plain, _lines(camera))))
    if fault:
        raise CaptureError(fault)
    if not cameras:
        raise CaptureError("no camera found; is the cable or ribbon seated? see README, Cameras")
    return 0


def _libcamera(source: str, model: str) -> dict[str, Any]:
    return {
        "source": source,
        "name": model,
        "path": None,
        "driver": "libcamera",
        "bus": None,
        "formats": [],
        "error": None,
    }


def _v4l2(node: Node) -> dict[str, Any]:
    from affectd.capture.pixel_format import FORMATS, JPEG, shown
    from affectd.capture.v4l2.device import Device

    about: dict[str, Any] = {
        "source": node.stable_path,
        "name": node.name,
        "path": node.path,
        "driver": None,
        "bus": None,
        "formats": [],
        "error": None,
    }
    try:
        with Device(node.path) as device:
            about |= {"driver": device.driver, "bus": device.bus}
            about["formats"] = [
                {
                    "format": shown(code),
                    "known": code in FORMATS or code in JPEG,
                    "sizes": [_size(offer) for offer in device.sizes(code)],
                }
                for code in device.formats()
            ]
    except PermissionError:
        about["error"] = "permission denied: add the user to the group 'video'"
    except OSError as error:
        about["error"] = f"cannot be asked: {error.strerror}"
    return about


def _size(offer: SizeOffer) -> dict[str, Any]:
    smallest = None if offer.smallest is None else list(offer.smallest)
    return {"width": offer.width, "height": offer.height, "smallest": smallest, "fps": list(offer.rates)}


def _lines(camera: dict[str, Any]) -> list[str]:
    way = ", ".join(part for part in (camera["path"], camera["driver"], camera["bus"]) if part)
    lines = [f"{camera['name']} ({way})", f"   camera.source = {toml(camera['source'])}"]
    if camera["error"]:
        lines.append(f"   {camera['error']}")
    # Formats that come in the same sizes share their lines.
    shared: dict[str, list[str]] = {}
    for each in camera["formats"]:
        sizes = ", ".join(map(_size_text, each["sizes"])) or "sizes not told"
        shared.setdefault(sizes if each["known"] else "not read here", []).append(each["format"])
    return lines + [f"   {' '.join(formats)}: {sizes}" for sizes, formats in shared.items()]


def _size_text(size: dict[str, Any]) -> str:
    least = "" if size["smallest"] is None else "{}x{} to ".format(*size["smallest"])
    rates = "/".join(f"{rate:g}" for rate in size["fps"])
    return f"{least}{size['width']}x{size['height']}" + (f" at {rates} fps" if rates else "")

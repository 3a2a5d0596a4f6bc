"""What `camera.source` and `microphone.source` may name, judged by their text alone."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from affectd.capture.address import FORM, address_fault

MOST_CHANNELS = 64
"""Of a microphone array."""
_WORDS = ("auto", "picamera", "off")
PICAMERA = "picamera:"
"""Before the number, the model or the id of one of several Raspberry Pi cameras."""
GSTREAMER = "gst:"
"""Before a pipeline."""
_ALLOWED = (
    "'auto', 'picamera', 'picamera:' and a number or a model, 'gst:' and a pipeline, 'off', a number, a path below "
    "/dev/, an rtsp:// or http:// address, or a clip's path"
)


def is_clip(camera_source: str) -> bool:
    """Whether the camera's source is the path of a recorded clip."""
    if camera_source in _WORDS or camera_source.isdecimal() or camera_source.startswith((PICAMERA, GSTREAMER)):
        return False
    return "://" not in camera_source and not camera_source.startswith("/dev/")


def camera_fault(source: str, *, is_file: bool) -> str:
    """Return what is wrong with a camera's source that can be none, as it follows the setting, or nothing.

    `is_file`: whether there is a file of this name, which then is a clip or a device, whatever it is called.
    """
    if is_file:
        return ""
    if source.startswith(PICAMERA):
        named = re.fullmatch(r"[\w./@:-]+", source.removeprefix(PICAMERA))
        return "" if named else "must name a camera as in 'picamera:1' or 'picamera:imx708'; 'picamera' is the first"
    if source.startswith(GSTREAMER):
        return _pipeline_fault(source.removeprefix(GSTREAMER).strip())
    if "://" in source:
        fault = "have no blanks around it" if source != source.strip() else address_fault(source)
        return f"must {fault}" if fault else ""
    device = re.fullmatch(r"/dev/([a-z]+)([0-9]+)", source)
    if device and device[1] != "video" and difflib.get_close_matches(device[1], ["video"], cutoff=0.7):
        return f"there is no such device; did you mean /dev/video{device[2]}?"
    if not is_clip(source):
        return ""
    scheme = re.match(r"(rtsps?|https?)(:/?|//)(?=.)", source, re.IGNORECASE)
    if scheme:
        return f"there is no such file, and an address is written {scheme[1].lower()}://..., as {FORM}"
    if re.match(r"[^/]*:[^/]*@|[\w.-]+:[0-9]+/|[\w-]+\.[\w.-]+:[0-9]+$", source):
        return f"there is no such file, and an address begins with rtsp:// or http://, as {FORM}"
    if _looks_like_a_file(source):
        return ""
    meant = difflib.get_close_matches(source.lower(), _WORDS, n=1)
    suggestion = f"; did you mean '{meant[0]}'?" if meant else ""
    return f"there is no such file, and it is nothing else that is allowed: {_ALLOWED}{suggestion}"


def microphone_fault(source: str) -> str:
    """Return what is wrong with a microphone's source that can be none, as it follows the setting, or nothing."""
    if "://" in source or source.startswith("/dev/snd/"):
        return (
            "must be 'auto', 'default', 'off', or part of an input device's name, which 'affectd microphones' "
            "lists; a camera on the network is seen, not heard"
        )
    return ""


def channel_fault(channel: str) -> str:
    """Return what is wrong with the choice of a microphone's channel, as it follows the setting, or nothing."""
    is_number = channel.isascii() and channel.isdecimal()
    if channel in ("auto", "mean", "loudest") or (is_number and 1 <= int(channel) <= MOST_CHANNELS):
        return ""
    counted = "; channels are counted from 1" if channel == "0" else ""
    return f"must be 'auto', 'mean', 'loudest', or a channel's number from 1 to {MOST_CHANNELS}{counted}"


def _pipeline_fault(pipeline: str) -> str:
    """Return what is wrong with GStreamer's pipeline, as far as that is known without GStreamer, or nothing."""
    if not pipeline:
        return "must be followed by a pipeline as gst-launch-1.0 takes it, such as 'gst: v4l2src device=/dev/video0'"
    if pipeline.endswith("!"):
        return "must not end in '!': affectd adds that and what takes the pictures"
    return ""


def _looks_like_a_file(source: str) -> bool:
    """Whether this has a folder or a suffix, so that it may name a clip that comes later; a number has none."""
    return "/" in source or bool(Path(source).suffix and not re.fullmatch("[-+]?[0-9.]+", source))

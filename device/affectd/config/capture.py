"""The settings of camera, microphone and clip."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from affectd.capture.crop import Crop
from affectd.capture.source_settings import channel_fault, is_clip, microphone_fault
from affectd.config.setting import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraConfig:
    """Where pictures come from."""

    source: str = setting(
        "auto",
        "'auto' (the first that gives a picture: the Raspberry Pi's camera, then V4L2's), 'picamera' ('picamera:1' and "
        "'picamera:imx708' name one of several), 'off', a number, a path below /dev/, an rtsp:// or http:// address, "
        "'gst: PIPELINE' for GStreamer, or a clip's path.",
        path=is_clip,
    )
    width: int = setting(640, "Picture width asked of the camera, pixels.", low=160, high=4096)
    height: int = setting(480, "Picture height asked of the camera, pixels.", low=120, high=4096)
    fps: float = setting(10.0, "Frames a second to work on.", low=0.5, high=60)
    timeout_s: float = setting(5.0, "A camera silent for this long is reopened.", low=0.5, high=120)
    still_s: float = setting(
        60.0,
        "A picture that stays the same to the bit, or of one even colour, for this long is a frozen or blind camera's, "
        "and counts as none; 0: a frozen one never, a blind one after 60.",
        low=0,
        high=86_400,
    )
    rotate: int = setting(
        0,
        "Degrees clockwise by which the picture is turned, for a camera mounted on its side or upside down.",
        choices=(0, 90, 180, 270),
    )
    mirror: bool = setting(False, "Swap left and right, after turning.")
    crop: str = setting(
        "",
        "The part of the picture to look at, as x,y,width,height in fractions of it, after turning and mirroring: "
        "'0.25,0,0.5,1' is the middle half of its width. Empty: all of it.",
    )
    pixel_aspect: str = setting(
        "auto",
        "Width to height of one pixel (not of the picture), such as '16:11' for 720x576 of a wide PAL camera. 'auto': "
        "as the stream or clip says, else square.",
    )

    power_line_hz: str = setting(
        "auto",
        "The mains' frequency, at which lamps flicker, for a camera that can allow for it. 'auto': as it finds.",
        choices=("auto", "50", "60", "off"),
    )
    pixel_format: str = setting(
        "auto",
        "The format in which a V4L2 camera is asked for pictures, such as 'YUYV' where its JPEGs are bad; 'affectd "
        "cameras' lists them. 'auto': MJPG where it gives size and rate, else YUYV, else another.",
        pattern="auto|[A-Z0-9]{3,4}(-BE)?",
    )

    @property
    def crop_area(self) -> Crop | None:
        """The part of the picture to look at; None for all. Raises ValueError where that cannot be read."""
        return Crop.parse(self.crop) if self.crop else None

    @property
    def pixel_ratio(self) -> Fraction | None:
        """Width over height of one pixel; None for 'auto'. Raises ValueError where it is neither that nor W:H."""
        if self.pixel_aspect == "auto":
            return None
        sides = re.fullmatch(r"([0-9]{1,5}):([0-9]{1,5})", self.pixel_aspect)
        width, height = (int(side) for side in sides.groups()) if sides else (0, 0)
        if not 0 < height <= 8 * width <= 64 * height:
            raise ValueError('must be "auto", or width:height of one pixel from "1:8" to "8:1", such as "16:11"')
        return Fraction(width, height)


@dataclass(frozen=True, slots=True, kw_only=True)
class MicrophoneConfig:
    """Where sound comes from."""

    source: str = setting(
        "auto",
        "'auto' (the clip's sound track when the camera is a clip, else the default input), 'default', 'off', or an "
        "input device's name or part of it, as 'affectd microphones' shows.",
        fault=microphone_fault,
    )
    channel: str = setting(
        "auto",
        "Which channel of a microphone array is heard: its number from 1, as 'affectd microphones' shows them, 'mean', "
        "or 'loudest', chosen anew after each pause. 'auto': a card's first; where a sound server runs, its mixture.",
        fault=channel_fault,
    )
    gain_db: float = setting(0.0, "Amplification of a microphone that is too quiet, in decibels.", low=-40, high=60)
    high_pass_hz: float = setting(
        20.0, "Below this frequency a microphone's DC offset and rumble are taken away; 0: nothing is.", low=0, high=200
    )
    timeout_s: float = setting(5.0, "A microphone silent in callbacks for this long is reopened.", low=0.5, high=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipConfig:
    """How a recorded clip is played when it stands in for camera and microphone."""

    realtime: bool = setting(True, "Play at the clip's own pace; false: as fast as the pipeline can, dropping nothing.")
    loop: bool = setting(False, "Start again at the end; false: stop when the clip ends.")

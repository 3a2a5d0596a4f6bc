"""The options of every camera."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from affectd.capture.crop import Crop


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraOptions:
    """The settings that every camera takes, so that a new one is a field here and nothing in between."""

    width: int
    """Pixels requested of the camera, before its picture is turned."""
    height: int
    fps: float
    """Frames a second to work on."""
    timeout_s: float
    """A camera without a good picture for this long has failed."""
    still_s: float = 60.0
    """A picture that stays the same to the bit for this long is none; 0: never."""
    pixel_aspect: Fraction | None = None
    """Width over height of a pixel, whatever the source signals."""
    rotate: int = 0
    """Degrees clockwise by which the picture is turned: 0, 90, 180 or 270."""
    mirror: bool = False
    """Whether left and right are swapped, after turning."""
    power_line_hz: str = "auto"
    """Of the mains, whose lamps flicker: '50', '60', 'off', or 'auto' for what the camera finds."""
    pixel_format: str = "auto"
    """The pixel format requested of a V4L2 camera: a code of V4L2's, or 'auto'."""
    crop: Crop | None = None
    """The part of the picture, as it is once turned and mirrored, that is looked at."""
    colour: bool = False
    """Whether pictures are wanted in colour, where the camera has it; else grey ones, which cost less."""
    crash_marker: Path | None = None
    """The marker file of a crash inside the camera's library; None: nothing is marked."""

"""Which of a Pi camera's sensor modes to take, and how large a picture to request of it.

libcamera itself takes the mode whose size is nearest to the picture's, whatever part of the sensor it reads: at 640x480
that is 39 % of the width on Camera Module 2. A picture of another shape than the sensor's is cut out of its middle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

FULL = 0.95
"""Of the sensor's width and height, at least what counts as its full field of view."""


@dataclass(frozen=True, slots=True)
class SensorMode:
    """One way in which a sensor can be read."""

    size: tuple[int, int]
    """Width and height in pixels of what it reads out, perhaps binned."""
    field: tuple[int, int, int, int]
    """x, y, width and height of what it sees, in pixels of the whole sensor."""
    fps: float
    """Frames a second that it can deliver at most."""
    bit_depth: int
    reported: bool = True
    """Whether `field` is what the driver reported."""

    @classmethod
    def read(cls, modes: Iterable[Mapping[str, Any]], sensor: tuple[int, int]) -> list[SensorMode]:
        """Read picamera2's `sensor_modes` of a `sensor` that has so many columns and rows.

        Those that are no raw ones report only their format, and are left out. A driver that does not report what a mode
        sees, with zeros or 65535 in its place, has it counted as cut out of the sensor, so that the largest is taken.
        """
        found = []
        for mode in modes:
            if {"size", "crop_limits", "fps", "bit_depth"} <= mode.keys():
                width, height = mode["size"]
                x, y, across, down = mode["crop_limits"]
                reported = 0 < across <= sensor[0] and 0 < down <= sensor[1]
                field = (x, y, across, down) if reported else (0, 0, width, height)
                found.append(cls((width, height), field, mode["fps"], mode["bit_depth"], reported))
        return found

    @property
    def pixels(self) -> int:
        """How many it reads out."""
        return self.size[0] * self.size[1]


def choose_mode(modes: Iterable[SensorMode], *, fps: float, width: int) -> SensorMode | None:
    """Return the mode that sees the whole field, delivers `fps`, and has the fewest pixels; None where there is none.

    What cannot be had is dropped in this order: `width` pixels across the field, the rate, the height of the field.
    Where the fastest that sees it all is too slow, it is taken, for who is outside the picture is never seen. Of two
    alike, the one with more bits a pixel sees more in the dark.
    """
    modes = list(modes)
    if not modes:
        return None
    widest, highest = max(mode.field[2] for mode in modes), max(mode.field[3] for mode in modes)

    def merit(mode: SensorMode) -> tuple[bool, bool, float, int, int, int]:
        return (
            mode.field[2] >= FULL * widest,
            mode.field[3] >= FULL * highest,
            min(mode.fps, fps),
            min(mode.size[0], width),
            -mode.pixels,
            mode.bit_depth,
        )

    return max(modes, key=merit)


def picture_size(field: tuple[int, int, int, int], width: int, height: int) -> tuple[int, int]:
    """Return the largest even size within width x height that has the shape of a field of view, so all of it fits."""
    scale = min(width / field[2], height / field[3])
    return max(2, round(field[2] * scale / 2) * 2), max(2, round(field[3] * scale / 2) * 2)

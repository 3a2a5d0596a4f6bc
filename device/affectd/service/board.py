"""The board's own figures: how hot it is, how far that is from slowing itself down, and whether it does already."""

from __future__ import annotations

import fcntl
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

RASPBERRY_PI_LIMIT_C = 80.0
"""The firmware of every Raspberry Pi lowers the clock from here on; its thermal zone has no trip point for it."""
_FIRMWARE_FILE = "sys/devices/platform/soc/soc:firmware/get_throttled"
_MAILBOX = "dev/vcio"
_MAILBOX_CALL = 3 << 30 | struct.calcsize("P") << 16 | 100 << 8
"""_IOWR(100, 0, char *), the property interface of the firmware."""
_GET_THROTTLED = 0x00030046

_UNDERVOLTAGE, _CAPPED, _THROTTLED = 1, 2, 4
_NOW = 0xF
"""Bits of the firmware's word on the present; those from 16 on are of the past."""


@dataclass(frozen=True, slots=True)
class Heat:
    """The part of the board that is nearest to its limit."""

    temperature_c: float
    limit_c: float
    """From here on the kernel or the firmware slows the board down."""

    @property
    def room_c(self) -> float:
        """Degrees left."""
        return self.limit_c - self.temperature_c


class Board:
    """Reads what the kernel shows below `root`, anew at every call. What a board does not have is None."""

    def __init__(self, root: Path = Path("/")) -> None:
        """Read the device tree alone."""
        self._root = root
        self._is_raspberry_pi = "Raspberry Pi" in _text(root / "proc/device-tree/model")

    def temperature_c(self) -> float | None:
        """Return the temperature of the hottest thermal zone, degrees Celsius."""
        return max((heat for zone in self._zones() if (heat := _celsius(zone / "temp")) is not None), default=None)

    def heat(self) -> Heat | None:
        """Return the zone that is nearest to its limit; None where no zone has one."""
        found = []
        for zone in self._zones():
            temperature_c, limit_c = _celsius(zone / "temp"), _passive_trip_c(zone)
            if limit_c is None and self._is_raspberry_pi:
                limit_c = RASPBERRY_PI_LIMIT_C
            if temperature_c is not None and limit_c is not None:
                found.append(Heat(temperature_c, limit_c))
        return min(found, key=lambda heat: heat.room_c, default=None)

    def throttled(self) -> bool | None:
        """Whether a Raspberry Pi slows itself down now, for heat or a weak power supply."""
        flags = self._firmware_flags()
        return None if flags is None else bool(flags & _NOW)

    def slowed_by_heat(self) -> bool:
        """Whether a Raspberry Pi has lowered its clock, and not because its power supply is weak."""
        flags = self._firmware_flags() or 0
        return bool(flags & (_CAPPED | _THROTTLED)) and not flags & _UNDERVOLTAGE

    def _zones(self) -> list[Path]:
        return sorted((self._root / "sys/class/thermal").glob("thermal_zone*"))

    def _firmware_flags(self) -> int | None:
        """Ask the kernel's driver, else the firmware itself as vcgencmd does."""
        with suppress(ValueError):
            return int(_text(self._root / _FIRMWARE_FILE), 16)
        # Size, 0 for a request, then one tag: its number, its value's size, 0, the value; 0 ends the list.
        message = bytearray(struct.pack("=7I", 28, 0, _GET_THROTTLED, 4, 0, 0, 0))
        try:
            with (self._root / _MAILBOX).open("rb", buffering=0) as mailbox:
                fcntl.ioctl(mailbox, _MAILBOX_CALL, message)
        except OSError:
            return None
        _, answer, _, _, _, flags, _ = struct.unpack("=7I", message)
        return int(flags) if answer == 0x80000000 else None


def _passive_trip_c(zone: Path) -> float | None:
    """Return where the kernel begins to slow down what heats the zone; None where it does not.

    The power allocator measures from the first passive trip on and slows down towards the last.
    """
    trips = []
    for kind in zone.glob("trip_point_*_type"):
        trip_c = _celsius(kind.with_name(kind.name.replace("_type", "_temp")))
        if _text(kind) == "passive" and trip_c is not None and trip_c > 0:  # 0 or less: switched off
            trips.append(trip_c)
    choose = max if _text(zone / "policy") == "power_allocator" else min
    return choose(trips, default=None)


def _celsius(file: Path) -> float | None:
    """Return the value of a file in thousandths of a degree; a zone that is switched off answers EINVAL or nothing."""
    try:
        return int(_text(file)) / 1000
    except (ValueError, OverflowError):
        return None


def _text(file: Path) -> str:
    try:
        return file.read_text().strip().rstrip("\0")
    except (OSError, UnicodeDecodeError):
        return ""

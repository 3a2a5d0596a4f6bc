"""One node below /dev: who it is, what it offers, and what it is set to."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from ctypes import Structure, c_int32
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

from affectd.capture.pixel_format import BIG_ENDIAN
from affectd.capture.v4l2 import ioctl
from affectd.capture.v4l2.ioctl import BufferType, Cap, Control

S = TypeVar("S", bound="Structure | c_int32")

MOST = 100
"""Of anything that is enumerated: a driver that never ends its list must not hold anybody up."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the pictures lie that a device agreed to send."""

    code: str
    """Of the pixel format, as V4L2 names it."""
    width: int
    height: int
    row_bytes: int
    """From the start of a row to that of the next; 0 for compressed ones."""
    full_range: bool
    """Whether its luma uses all of 0 to 255."""


@dataclass(frozen=True, slots=True)
class SizeOffer:
    """A size of pictures that a format comes in, and how fast."""

    width: int
    height: int
    rates: tuple[float, ...]
    """Frames a second, fastest first; empty where the driver does not report them."""
    smallest: tuple[int, int] | None = None
    """Where any size from this to width and height can be had."""


class Device:
    """An open node. Every method raises OSError when the driver refuses or the device is gone."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        try:
            capability = self.call(ioctl.QUERYCAP, ioctl.Capability())
        except OSError:
            self.close()
            raise
        self.driver = capability.driver.decode(errors="replace")
        self.card = capability.card.decode(errors="replace")
        self.bus = capability.bus_info.decode(errors="replace")
        self.caps = Cap(capability.device_caps)

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it; harmless when it is closed."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def call(self, request: int, structure: S) -> S:
        """Make a call of V4L2's, and return the structure as the driver filled it."""
        fcntl.ioctl(self.fd, request, structure)
        return structure

    @property
    def buffer_type(self) -> BufferType:
        """Of what it captures into."""
        return BufferType.VIDEO_CAPTURE if self.caps & Cap.VIDEO_CAPTURE else BufferType.VIDEO_CAPTURE_MPLANE

    def formats(self) -> list[str]:
        """Return the codes of the pixel formats that it offers, in its own order."""
        seen = self._enumerated(ioctl.ENUM_FMT, lambda: ioctl.FormatDescription(type=self.buffer_type))
        return list(dict.fromkeys(code_of(description.pixelformat) for description in seen))

    def sizes(self, code: str) -> list[SizeOffer]:
        """Return the sizes of a format, and how fast each can be; none where the driver does not report them."""
        number, offers = number_of(code), []
        for size in self._enumerated(ioctl.ENUM_FRAMESIZES, lambda: ioctl.FrameSize(pixel_format=number)):
            if size.type == ioctl.DISCRETE:
                width, height = size.values[:2]
                offers.append(SizeOffer(width, height, self._rates(number, width, height)))
            else:
                low, high, _, lowest, highest, _ = size.values
                offers.append(SizeOffer(high, highest, self._rates(number, high, highest), (low, lowest)))
                break
        return offers

    def set_format(self, code: str, width: int, height: int) -> Layout:
        """Request a format, and return what the driver makes of it, which may be another format and size."""
        wanted = ioctl.Format(type=self.buffer_type)
        pix = wanted.fmt.pix if self.buffer_type is BufferType.VIDEO_CAPTURE else wanted.fmt.pix_mp
        pix.width, pix.height, pix.pixelformat, pix.field = width, height, number_of(code), ioctl.FIELD_NONE
        self.call(ioctl.S_FMT, wanted)
        row_bytes = pix.bytesperline if self.buffer_type is BufferType.VIDEO_CAPTURE else pix.planes[0].bytesperline
        full_range = pix.quantization == ioctl.QUANTIZATION_FULL_RANGE
        return Layout(code_of(pix.pixelformat), pix.width, pix.height, row_bytes, full_range)

    def set_rate(self, fps: float) -> float:
        """Request a rate, and return the one that the driver makes of it; 0.0 where it reports none."""
        wanted = ioctl.StreamParm(type=self.buffer_type)
        interval = 1 / Fraction(fps).limit_denominator(1000)
        wanted.parm.capture.numerator, wanted.parm.capture.denominator = interval.numerator, interval.denominator
        try:
            got = self.call(ioctl.S_PARM, wanted).parm.capture
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise
            return 0.0
        reported = got.capability & ioctl.CAN_TIME_PER_FRAME and got.numerator
        return float(got.denominator / got.numerator) if reported else 0.0

    def set_control(self, control: Control, value: int) -> bool:
        """Set a control, and return whether the device has it and takes the value."""
        try:
            knob = self.call(ioctl.QUERYCTRL, ioctl.ControlQuery(id=control))
            if knob.flags & ioctl.DISABLED or not knob.minimum <= value <= knob.maximum:
                return False
            self.call(ioctl.S_CTRL, ioctl.ControlValue(id=control, value=value))
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise
            return False
        return True

    def _rates(self, number: int, width: int, height: int) -> tuple[float, ...]:
        """Return the rates of a size, fastest first; of a range its two ends."""
        fastest_first: set[float] = set()
        for interval in self._enumerated(
            ioctl.ENUM_FRAMEINTERVALS, lambda: ioctl.FrameInterval(pixel_format=number, width=width, height=height)
        ):
            pairs = (
                [interval.values[:2]]
                if interval.type == ioctl.DISCRETE
                else [interval.values[:2], interval.values[2:4]]
            )
            fastest_first |= {round(denominator / numerator, 3) for numerator, denominator in pairs if numerator}
        return tuple(sorted(fastest_first, reverse=True))

    def _enumerated(self, request: int, make: Any) -> Iterator[Any]:
        for index in range(MOST):
            item = make()
            item.index = index
            try:
                self.call(request, item)
            except OSError:  # the list ends here
                return
            yield item


def number_of(code: str) -> int:
    """Return the number of a pixel format's code, four characters."""
    big = code.endswith(BIG_ENDIAN)
    return int.from_bytes(code[:4].encode("ascii"), "little") | big << 31


def code_of(number: int) -> str:
    """Return the code of a pixel format's number."""
    letters = (number & 0x7FFF_FFFF).to_bytes(4, "little").decode("ascii", errors="replace")
    return letters + BIG_ENDIAN if number >> 31 else letters

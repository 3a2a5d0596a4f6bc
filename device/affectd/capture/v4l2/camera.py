"""A camera with a V4L2 driver: negotiation of format, size and rate, and its pictures."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

from affectd.capture.camera_options import CameraOptions
from affectd.capture.frame_rate_limiter import FrameRateLimiter
from affectd.capture.pixel_aspect import SQUARE, with_square_pixels
from affectd.capture.pixel_colour import colour_picture, has_colour
from affectd.capture.pixel_format import FORMATS, JPEG, gray_picture, shown
from affectd.capture.protocols import CameraMode
from affectd.capture.v4l2.device import Device, Layout
from affectd.capture.v4l2.ioctl import Cap, Control
from affectd.capture.v4l2.listing import list_v4l2_cameras, no_camera
from affectd.capture.v4l2.stream import Stream
from affectd.errors import CaptureError
from affectd.events import Frame

# JPEG first, for it leaves room on the bus for any size and rate.
REQUEST_ORDER = (*JPEG, *FORMATS)
FAST_ENOUGH = 0.9
"""Share of the requested rate: 9.98 is 10."""
MOST_NAMED = 8
"""Formats in a sentence."""
POWER_LINE = {"off": 0, "50": 1, "60": 2, "auto": 3}
"""`camera.power_line_hz` as V4L2 numbers it."""
_SEATED = "is the cable or ribbon seated? see README, Cameras"
_REASONS = {
    errno.EBUSY: "another program holds it",
    errno.ENOSPC: "the USB bus has no room for it: another port, or a smaller picture",
    errno.ENOTTY: "it is no V4L2 device",
    errno.EPROTO: "the USB connection fails: another cable or port",
}


class V4l2Camera:
    """A node below /dev, or a link to one. Its pictures are grey unless colour is wanted, thinned to about `fps`.

    The pixels of such a camera count as square unless `pixel_aspect` is set, for V4L2 does not report it.
    """

    def __init__(self, source: str, options: CameraOptions) -> None:
        self.name = source
        self.mode: CameraMode | None = None
        self._options = options
        self._device: Device | None = None
        self._stream: Stream | None = None
        self._layout = Layout("", 0, 0, 0, full_range=False)
        self._rate_limiter = FrameRateLimiter(options.fps)
        self._number = 0

    def open(self) -> None:
        """Open the device, agree on pictures and start them. Raises CaptureError."""
        self.close()
        if not Path(self.name).exists():
            raise CaptureError(f"camera {self.name}: not found; cameras seen: {_seen()}; {_SEATED}")
        try:
            self._device = Device(self.name)
            self._start(self._device)
        except OSError as error:
            self.close()
            raise CaptureError(f"camera {self.name}: cannot be opened; {self._reason(error)}") from error
        except CaptureError:
            self.close()
            raise
        self._rate_limiter = FrameRateLimiter(self._options.fps)
        self._number = 0

    def read(self) -> Frame:
        """Wait for the next frame that is due; (height, width[, 3]). Raises CaptureError."""
        if self._stream is None:
            raise CaptureError(f"camera {self.name}: not open")
        began = time.monotonic()
        while True:
            captured_at = self._wait(self._stream)
            if not self._rate_limiter.take(captured_at):
                continue
            layout = self._layout
            try:
                image = (colour_picture if self._options.colour else gray_picture)(
                    self._stream.data(),
                    layout.code,
                    layout.width,
                    layout.height,
                    row_bytes=layout.row_bytes,
                    full_range=layout.full_range,
                )
            except ValueError as fault:
                if time.monotonic() - began > self._options.timeout_s:
                    raise CaptureError(f"camera {self.name}: sends {fault}; is its cable good?") from None
                continue
            self._number += 1
            return Frame(with_square_pixels(image, self._options.pixel_aspect or SQUARE), captured_at, self._number)

    def close(self) -> None:
        """Release the device; harmless when not open."""
        self.mode = None
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._device is not None:
            self._device.close()
            self._device = None

    def _start(self, device: Device) -> None:
        fault = no_camera(device.driver, device.caps)
        if fault:
            raise CaptureError(f"camera {self.name}: is {fault}")
        if not device.caps & Cap.STREAMING:
            raise CaptureError(f"camera {self.name}: its driver ({device.driver}) cannot stream")
        self._layout, rate = self._negotiate(device)
        # Else the rate halves in the dark for a longer exposure, and what moves is smeared.
        device.set_control(Control.EXPOSURE_AUTO_PRIORITY, 0)
        device.set_control(Control.POWER_LINE_FREQUENCY, POWER_LINE[self._options.power_line_hz])
        self._stream = Stream(device)
        self.mode = CameraMode(shown(self._layout.code), self._layout.width, self._layout.height, rate or None)

    def _negotiate(self, device: Device) -> tuple[Layout, float]:
        """Request the size and the rate in one format after the other, and settle on the first that grants both.

        Where none does, on the one that comes nearest. Raises CaptureError when no format is known here.
        """
        offered = device.formats()
        requested = [code for code in REQUEST_ORDER if self._options.pixel_format in ("auto", shown(code))]
        granted = [answer for code in requested if code in offered and (answer := self._request(device, code))]
        if not granted:
            raise CaptureError(f"camera {self.name}: {self._nothing_granted(offered)}")
        best = min(granted, key=self._shortcoming)
        again = self._request(device, best[0].code)
        if again is None:
            raise CaptureError(f"camera {self.name}: does not grant {shown(best[0].code)} a second time")
        return again

    def _nothing_granted(self, offered: list[str]) -> str:
        named = self._options.pixel_format
        if named not in ("auto", *map(shown, REQUEST_ORDER)):
            return f"camera.pixel_format = {named} is not known here; take auto, or one that `affectd cameras` shows"
        if named != "auto":
            return f"does not offer {named}, which camera.pixel_format names; `affectd cameras` shows what it offers"
        some = [*map(shown, offered[:MOST_NAMED]), *(["..."] if len(offered) > MOST_NAMED else [])]
        return f"offers its pictures as {', '.join(some) or 'nothing'}, of which none is known here"

    def _request(self, device: Device, code: str) -> tuple[Layout, float] | None:
        """Return what the driver grants of a format; None when it sets another one or refuses it."""
        try:
            layout = device.set_format(code, self._options.width, self._options.height)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return None
            raise
        return (layout, device.set_rate(self._options.fps)) if layout.code == code else None

    def _shortcoming(self, granted: tuple[Layout, float]) -> tuple[bool, int, float]:
        """Return how far colour, size and rate fall short of what is requested: of equals the first is the best."""
        layout, rate = granted
        options = self._options
        return (
            options.colour and not has_colour(layout.code),
            abs(layout.width * layout.height - options.width * options.height),
            max(0.0, FAST_ENOUGH * options.fps - (rate or options.fps)),
        )

    def _wait(self, stream: Stream) -> float:
        try:
            return stream.wait(self._options.timeout_s)
        except TimeoutError:
            raise CaptureError(
                f"camera {self.name}: no picture for {self._options.timeout_s:g} s; is it still plugged in, and not "
                "asleep?"
            ) from None
        except OSError as error:
            raise CaptureError(f"camera {self.name}: sends no pictures any more; {self._reason(error)}") from error

    def _reason(self, error: OSError) -> str:
        if error.errno in (errno.ENODEV, errno.ENOENT, errno.ENXIO) or not Path(self.name).exists():
            return f"it was unplugged; {_SEATED}"
        if error.errno in (errno.EACCES, errno.EPERM) or not os.access(self.name, os.R_OK | os.W_OK):
            return "permission denied: add the user to the group 'video'"
        return _REASONS.get(error.errno or 0, f"its driver says: {error.strerror}")


def _seen() -> str:
    return ", ".join(f"{node.path} ({node.name})" for node in list_v4l2_cameras()) or "none"

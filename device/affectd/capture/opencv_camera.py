"""An RTSP or HTTP stream through OpenCV."""

from __future__ import annotations

import math
import os
import time
from fractions import Fraction
from typing import Any

import cv2

from affectd.capture.address import encoded, encoding_advice, without_secrets
from affectd.capture.camera_options import CameraOptions
from affectd.capture.frame_rate_limiter import FrameRateLimiter
from affectd.capture.freeze_detector import EVERY, FreezeDetector
from affectd.capture.pixel_aspect import JFIF_BYTES, SQUARE, aspect_of_jpeg, plausible_aspect, with_square_pixels
from affectd.capture.protocols import CameraMode
from affectd.errors import CaptureError
from affectd.events import Frame

OPENCV_ERRORS = 2
"""OpenCV's log level that leaves warnings out."""
MJPEG = cv2.VideoWriter.fourcc(*"MJPG")


class OpenCvCamera:
    """A camera by its address, thinned to about `fps` frames a second.

    `timeout_s` bounds opening it and each wait for a good picture.

    MJPEG streams are decoded here, picture by picture, so they may change their size. Other streams go on in the
    old size: OpenCV 4.14 scales the picture, before it a larger one stands still, and a smaller one covers the
    top of the old, whose lower edge stands still. The latter is noticed here, somewhat after `still_s`.

    `pixel_aspect`, width over height of a pixel, overrides the aspect that a stream signals.
    """

    def __init__(self, source: str, options: CameraOptions) -> None:
        self._source = source
        self._options = options
        self._timeout_s = options.timeout_s
        # Longer than it takes to notice that the whole picture stands still, which is another fault.
        self._edge_still_s = (options.still_s or math.inf) + 2 * options.timeout_s
        self._pixel_aspect = options.pixel_aspect
        self._jpeg_aspect: Fraction | None = None
        """Of the newest JPEG of a stream."""
        self._edge = FreezeDetector()
        self._edge_blamed = False
        self._capture: Any = None
        self._is_mjpeg = False
        self._rate_limiter = FrameRateLimiter(options.fps)
        self._number = 0
        self.name = without_secrets(source)
        self.mode: CameraMode | None = None

    def open(self) -> None:
        """Connect to the stream. Raises CaptureError."""
        self.close()
        # A dead capture never recovers though isOpened() stays true, so each opening makes a new one.
        capture = self._connect()
        if not capture.isOpened():
            capture.release()
            raise CaptureError(f"camera {self.name}: cannot be opened; {self._advice()}")
        self._jpeg_aspect = None
        self._is_mjpeg = int(capture.get(cv2.CAP_PROP_FOURCC)) == MJPEG
        if self._is_mjpeg:
            self._is_mjpeg = capture.set(cv2.CAP_PROP_FORMAT, -1)  # as it comes, undecoded
        self._capture = capture
        self._rate_limiter = FrameRateLimiter(self._options.fps)
        self._number = 0

    def read(self) -> Frame:
        """Wait for the next frame that is due; (height, width, 3) BGR. Raises CaptureError."""
        if self._capture is None:
            raise CaptureError(f"camera {self.name}: not open")
        began = time.monotonic()
        while True:
            captured_at = self._grab()
            if not self._rate_limiter.take(captured_at):
                continue
            image = self._retrieve()
            if image is not None:
                break
            if captured_at - began > self._timeout_s:
                raise CaptureError(f"camera {self.name}: its pictures cannot be decoded; {self._advice()}")
        if not self._is_mjpeg:
            self._check_edge(image, captured_at)
        self._number += 1
        return Frame(with_square_pixels(image, self._aspect()), captured_at, self._number)

    def close(self) -> None:
        """Release the device; harmless when not open."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _grab(self) -> float:
        """Wait for a picture; return when it came, monotonic seconds."""
        began = time.monotonic()
        if not self._capture.grab():
            at_once = time.monotonic() - began < self._timeout_s / 2
            raise CaptureError(f"camera {self.name}: {self._why_no_picture(at_once)}")
        return time.monotonic()

    def _retrieve(self) -> Any:
        """Decode the picture that was grabbed; None when that fails."""
        try:
            good, image = self._capture.retrieve()
            if good and self._is_mjpeg:
                self._jpeg_aspect = aspect_of_jpeg(image.ravel()[:JFIF_BYTES].tobytes())
                image = cv2.imdecode(image, cv2.IMREAD_COLOR)
        except cv2.error:
            return None
        return image if good and image is not None and image.size else None

    def _aspect(self) -> Fraction:
        """Return width over height of a pixel of the newest picture."""
        if self._pixel_aspect is not None:
            return self._pixel_aspect
        signalled = [self._capture.get(part) for part in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN)]
        return self._jpeg_aspect or plausible_aspect(*signalled) or SQUARE

    def _why_no_picture(self, at_once: bool) -> str:
        if not at_once:
            return f"no picture for {self._timeout_s:g} s; {self._advice()}"
        return "sends no pictures any more; was it switched off or restarted, or is the network down?"

    def _check_edge(self, image: Any, captured_at: float) -> None:
        """Raise once when the lower edge stands still; if that is still so when opened again, it is a caption."""
        still_s = self._edge.frozen_s(image[-EVERY:], captured_at)
        if still_s == 0:
            self._edge_blamed = False
        elif still_s > self._edge_still_s and not self._edge_blamed:
            self._edge_blamed = True
            raise CaptureError(
                f"camera {self.name}: the lower edge of its picture stands still, as when the picture has become "
                "smaller; opening it again"
            )

    def _connect(self) -> Any:
        # They would write of every bad picture and of every timeout to stderr.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        # OpenCV 4.14 has moved it from cv2 itself.
        getattr(cv2.utils, "logging", cv2).setLogLevel(OPENCV_ERRORS)
        timeout_ms = int(self._timeout_s * 1000)
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
        return cv2.VideoCapture(encoded(self._source), cv2.CAP_FFMPEG, limits)

    def _advice(self) -> str:
        advice = "check the address, the user name and password, and whether it can be reached from this box"
        return advice + encoding_advice(self._source)

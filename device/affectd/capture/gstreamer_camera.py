"""Any camera that GStreamer can read, by a pipeline of its elements: a Jetson's, one that is decoded in hardware."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.capture.address import without_any_secrets
from affectd.capture.camera_options import CameraOptions
from affectd.capture.crash_marker import CrashMarker
from affectd.capture.frame_rate_limiter import FrameRateLimiter
from affectd.capture.pixel_aspect import SQUARE, plausible_aspect, with_square_pixels
from affectd.capture.pixel_colour import colour_picture
from affectd.capture.pixel_format import gray_picture
from affectd.capture.protocols import CameraMode
from affectd.errors import CaptureError
from affectd.events import Frame

log = logging.getLogger(__name__)

SINK, CONVERTER = "affectd", "affectd-convert"
TAIL = (
    f"videoconvert name={CONVERTER} ! video/x-raw,format={{}} ! appsink name={SINK} drop=true max-buffers=1 sync=false"
)
"""What every pipeline ends in: the newest picture, in the format that is put in here."""
PACKAGES = "python3-gi gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-good"
_LOOK_S = 0.1
"""So often it is looked whether the pipeline has failed while a picture is waited for."""


class GStreamerCamera:
    """The pictures of a pipeline as gst-launch-1.0 takes it, thinned to `fps`, in whatever size they come."""

    def __init__(self, pipeline: str, options: CameraOptions) -> None:
        self._text = pipeline.strip()
        self._options = options
        self._marker = CrashMarker(options.crash_marker, "GStreamer")
        self._pipeline: Any = None
        self._sink: Any = None
        self._size = (0, 0)
        self._rate_limiter = FrameRateLimiter(options.fps)
        self._number = 0
        self.name = f"gst {without_any_secrets(self._text).split()[0]}"

    @property
    def mode(self) -> CameraMode | None:
        """What the pipeline sends; None before the first picture, and while it is closed."""
        return CameraMode(self._format, *self._size, None) if self._pipeline is not None and any(self._size) else None

    @property
    def _format(self) -> str:
        return "BGR" if self._options.colour else "GRAY8"

    def open(self) -> None:
        """Build the pipeline and start it. Raises CaptureError."""
        self.close()
        self._marker.enter(self.name)
        try:
            self._start()
        except CaptureError:
            self.close()
            raise

    def read(self) -> Frame:
        """Wait for the next frame that is due; (rows, columns[, 3]). Raises CaptureError."""
        if self._pipeline is None:
            raise CaptureError(f"camera {self.name}: not open")
        while True:
            sample = self._pull()
            captured_at = time.monotonic()
            if self._rate_limiter.take(captured_at):
                break
        caps = sample.get_caps().get_structure(0)
        size = caps.get_value("width"), caps.get_value("height")
        if size != self._size:
            if self._number:
                log.info("camera %s: its picture is now %dx%d, no longer %dx%d", self.name, *size, *self._size)
            self._size = size
        buffer = sample.get_buffer()
        data = np.frombuffer(buffer.extract_dup(0, buffer.get_size()), np.uint8)
        try:
            image = self._picture(data, *size)
        except ValueError as error:
            raise CaptureError(f"camera {self.name}: sends {error}") from None
        signalled = caps.get_fraction("pixel-aspect-ratio")
        aspect = self._options.pixel_aspect or (plausible_aspect(*signalled[1:]) if signalled[0] else None) or SQUARE
        self._marker.leave(proven=True)
        self._number += 1
        return Frame(with_square_pixels(image, aspect), captured_at, self._number)

    def close(self) -> None:
        """Stop the pipeline and let go of its devices; harmless when not open."""
        pipeline, self._pipeline, self._sink = self._pipeline, None, None
        if pipeline is not None:
            gst, _ = _libraries()
            pipeline.set_state(gst.State.NULL)
        self._marker.leave()

    def _start(self) -> None:
        gst, glib = _libraries()
        try:
            self._pipeline = gst.parse_launch(f"{self._text} ! {TAIL.format(self._format)}")
        except glib.Error as error:
            raise CaptureError(f"camera {self.name}: {self._parse_fault(gst, error)}") from None
        self._sink = self._pipeline.get_by_name(SINK)
        self._size = (0, 0)
        self._rate_limiter = FrameRateLimiter(self._options.fps)
        self._number = 0
        self._pipeline.set_state(gst.State.PLAYING)
        changed = self._pipeline.get_state(round(self._options.timeout_s * gst.SECOND))[0]
        failed = changed == gst.StateChangeReturn.FAILURE
        self._refuse_failed(wait_s=self._options.timeout_s if failed else 0.0)  # the reason may come late
        if failed:
            raise CaptureError(f"camera {self.name}: the pipeline cannot be started; does gst-launch-1.0 start it?")
        if changed == gst.StateChangeReturn.ASYNC:
            raise CaptureError(f"camera {self.name}: no picture for {self._options.timeout_s:g} s")

    def _pull(self) -> Any:
        """Wait for a sample, but no longer than the timeout, nor for a pipeline that has failed or ended."""
        gst, _ = _libraries()
        deadline = time.monotonic() + self._options.timeout_s
        while time.monotonic() < deadline:
            sample = self._sink.try_pull_sample(round(_LOOK_S * gst.SECOND))
            if sample is not None:
                return sample
            self._refuse_failed()
        raise CaptureError(f"camera {self.name}: no picture for {self._options.timeout_s:g} s")

    def _picture(self, data: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
        """Return the picture; GStreamer lays rows out at multiples of four bytes. Raises ValueError."""
        if self._options.colour:
            return colour_picture(data, "BGR3", width, height, row_bytes=-(-3 * width // 4) * 4)
        # Of NV12 the grey rows alone are looked at.
        code = "NV12" if self._is_video_range() else "GREY"
        return gray_picture(data, code, width, height, row_bytes=-(-width // 4) * 4)

    def _is_video_range(self) -> bool:
        """Whether black is 16 and white 235, as in most YUV: videoconvert leaves grey levels as they came."""
        caps = self._pipeline.get_by_name(CONVERTER).get_static_pad("sink").get_current_caps()
        came = caps.get_structure(0) if caps is not None else None
        if came is None or re.search("RGB|BGR|GBR|GRAY", came.get_string("format") or ""):
            return False
        return not (came.get_string("colorimetry") or "").startswith("1:")  # 0 to 255, as of JPEGs

    def _refuse_failed(self, wait_s: float = 0.0) -> None:
        """Raise CaptureError if the pipeline has posted an error or has come to its end, at most `wait_s` from now."""
        gst, _ = _libraries()
        kinds = gst.MessageType.ERROR | gst.MessageType.EOS
        message = self._pipeline.get_bus().timed_pop_filtered(round(wait_s * gst.SECOND), kinds)
        if message is None:
            return
        if message.type == gst.MessageType.EOS:
            raise CaptureError(f"camera {self.name}: the stream has ended")
        error, details = message.parse_error()
        # After where in its source an element failed comes, on lines of their own, why.
        reason = _sentence(" ".join([error.message, *(details or "").splitlines()[1:]]))
        raise CaptureError(f"camera {self.name}: {message.src.get_name()} failed: {reason}")

    def _parse_fault(self, gst: Any, error: Any) -> str:
        why = _sentence(error.message)
        if error.matches(gst.ParseError.quark(), gst.ParseError.NO_SUCH_ELEMENT):
            return f"GStreamer has {why}; is it spelled so, and is its plugin installed? gst-inspect-1.0 lists what is"
        return f"camera.source = 'gst: ...' is no pipeline to which '! videoconvert' can be added: {why}"


def _sentence(words: str) -> str:
    """Return a message of GStreamer on one line, without a full stop and without secrets."""
    return " ".join(without_any_secrets(words).split()).rstrip(".")


def _libraries() -> tuple[Any, Any]:
    """Import GStreamer and GLib through PyGObject. Raises CaptureError."""
    try:
        import gi

        gi.require_version("Gst", "1.0")
        gi.require_version("GstApp", "1.0")
        from gi.repository import GLib, Gst, GstApp  # noqa: F401 - GstApp adds the methods of appsink
    except (ImportError, ValueError) as error:
        raise CaptureError(
            f"camera gst: GStreamer cannot be used from Python ({error}); run `apt install {PACKAGES}`, and make "
            "affectd's venv with --system-site-packages by the system's own Python"
        ) from None
    if not Gst.is_initialized():
        Gst.init(None)
    return Gst, GLib

"""A Raspberry Pi camera through picamera2: its whole field of view, in focus, upright, at the requested rate."""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.capture.camera_options import CameraOptions
from affectd.capture.crash_marker import CrashMarker
from affectd.capture.frame_rate_limiter import FrameRateLimiter
from affectd.capture.picamera_library import LIBRARY, Connected, choose, connected, load
from affectd.capture.picamera_modes import SensorMode, choose_mode, picture_size
from affectd.capture.pixel_aspect import SQUARE, with_square_pixels
from affectd.capture.pixel_colour import colour_picture
from affectd.capture.pixel_format import gray_picture
from affectd.capture.protocols import CameraMode
from affectd.capture.turned_camera import turned
from affectd.errors import CaptureError
from affectd.events import Frame

log = logging.getLogger(__name__)

BUFFERS = 3
"""One being exposed, one being processed, one being read."""
CONTINUOUS = 2
"""libcamera's AfModeEnum.Continuous; its default is manual, with the lens left where it is. Range and speed are left
normal: nobody's face is as near as macro, and a lens that jumps blurs more than one that glides."""
MANUAL = 1
"""libcamera's AeFlickerModeEnum.Manual: exposures that even out lamps which flicker at the period given."""
_CODES = {
    "YUV420": "YU12",
    "YVU420": "YV12",
    "R8": "GREY",
    "RGB888": "BGR3",
    "BGR888": "RGB3",
    "XRGB8888": "XR24",
    "XBGR8888": "XB24",
    "MJPEG": "MJPG",
}
"""V4L2's codes of formats that libcamera calls otherwise; it names colours from the highest byte down."""


class PiCamera:
    """A camera on a Pi's connector; its pixels count as square unless `pixel_aspect` is set.

    The picture has the sensor's shape and fits into the requested size: all that the sensor sees is in it. Flips
    and crop are the ISP's where it can, else done here. Exposure, gain, metering and white balance are left automatic,
    within frames of 1 / fps seconds: in the dark the gain rises, and the rate stays.
    """

    def __init__(self, options: CameraOptions, wanted: str = "") -> None:
        """Prepare; `wanted` is a number, a model or an id of libcamera's, '' the first camera."""
        self._options = options
        self._wanted = wanted
        self._marker = CrashMarker(options.crash_marker, LIBRARY)
        self._modes: dict[str, SensorMode | None] = {}
        """The sensor mode taken, by the camera's id: finding out takes a reconfiguration for each that there is."""
        self._turn = (0, False)
        """Degrees clockwise, and whether mirrored: what is left to do here."""
        self._crops_here = False
        self._camera: Any = None
        self._rate_limiter = FrameRateLimiter(options.fps)
        self._number = 0
        self.name = f"picamera:{wanted}" if wanted else "picamera"
        self.mode: CameraMode | None = None

    def open(self) -> None:
        """Open and start the camera. Raises CaptureError."""
        self.close()
        self._marker.enter(self.name)
        try:
            library = load()
            camera = choose(connected(library), self._wanted)
            self.name = f"picamera {camera.model}"
            self._start(library, camera)
        except CaptureError:
            self.close()
            raise
        except Exception as error:  # whatever a library raises that is made of several and runs on many boards
            self.close()
            raise CaptureError(
                f"camera {self.name}: cannot be started ({_words(error)}); another program may hold it"
            ) from error
        self._rate_limiter = FrameRateLimiter(self._options.fps)
        self._number = 0

    def read(self) -> Frame:
        """Wait for the next frame that is due; (rows, columns[, 3]). Raises CaptureError."""
        if self._camera is None:
            raise CaptureError(f"camera {self.name}: not open")
        try:
            frame = self._next_due(self._camera)
        except concurrent.futures.TimeoutError:
            raise CaptureError(
                f"camera {self.name}: no picture for {self._options.timeout_s:g} s; is the ribbon seated? `dmesg` may "
                "say more"
            ) from None
        except CaptureError:
            raise
        except Exception as error:  # as above; also a camera that was torn down meanwhile
            raise CaptureError(f"camera {self.name}: failed ({_words(error)})") from error
        self._marker.leave(proven=True)
        return frame

    def close(self) -> None:
        """Stop and release the camera; harmless when not open."""
        camera, self._camera, self.mode = self._camera, None, None
        if camera is not None:
            # Closing what has failed may fail again; what matters is that the device is let go.
            with contextlib.suppress(Exception):
                camera.cancel_all_and_flush()
            with contextlib.suppress(Exception):
                camera.close()
        self._marker.leave()

    def _start(self, library: Any, found: Connected) -> None:
        from libcamera import ColorSpace, Transform

        options = self._options
        self._camera = camera = library.Picamera2(found.number)
        if found.id not in self._modes:
            self._modes[found.id] = self._choose_mode(camera)
        mode = self._modes[found.id]
        flips = self._flips(mode)
        requested: dict[str, Any] = {
            "main": {"size": self._size(mode), "format": "YUV420"},
            "transform": Transform(hflip=flips[0], vflip=flips[1]),
            "colour_space": ColorSpace.Sycc(),  # grey from 0 to 255
            "buffer_count": BUFFERS,
            "queue": False,  # a frame that nobody waited for is released, so each one read is fresh
        }
        if mode is not None:
            requested["sensor"] = {"output_size": mode.size, "bit_depth": mode.bit_depth}
        camera.configure(camera.create_video_configuration(**requested))
        granted = camera.camera_configuration()
        if any(flips):
            left = (flips[0] != bool(granted["transform"].hflip), flips[1] != bool(granted["transform"].vflip))
            self._turn = 180 * left[1], left[0] != left[1]
        else:
            self._turn = options.rotate, options.mirror
        self._crops_here = options.crop is not None and not _can_crop(mode)
        camera.set_controls(self._controls(camera.camera_controls))
        camera.start()
        width, height = granted["main"]["size"]
        self.mode = CameraMode(granted["main"]["format"], width, height, options.fps)
        read_out = f"{mode.size[0]}x{mode.size[1]}" if mode else "libcamera's choice"
        log.info("camera %s: %s, sensor mode %s", self.name, self.mode, read_out)

    def _flips(self, mode: SensorMode | None) -> tuple[bool, bool]:
        """Return whether left and right, and top and bottom, are to be swapped by the camera.

        A quarter of a turn is beyond a Pi's, and what is no Pi's camera may take a flip and not make it.
        """
        rotate, mirror = self._options.rotate, self._options.mirror
        if mode is None or rotate not in (0, 180):
            return False, False
        return (rotate == 180) != mirror, rotate == 180

    def _choose_mode(self, camera: Any) -> SensorMode | None:
        options = self._options
        try:
            modes = SensorMode.read(camera.sensor_modes, camera.camera_properties["PixelArraySize"])
        except Exception as error:  # a camera is worth having though it does not list its modes
            log.warning(
                "camera %s: its sensor modes cannot be read (%s); it may show a part of what it sees",
                *(self.name, _words(error)),
            )
            return None
        part = options.crop.unturned(options.rotate, options.mirror).width if options.crop else 1.0
        return choose_mode(modes, fps=options.fps, width=round(options.width / part))

    def _size(self, mode: SensorMode | None) -> tuple[int, int]:
        """Return the size to request: of the shape of the field or its part, and no larger than what is read out."""
        options = self._options
        if mode is None:
            return options.width, options.height
        field = mode.field
        if options.crop is not None and _can_crop(mode):
            field = options.crop.unturned(options.rotate, options.mirror).within(*field)
        finest = round(field[2] * mode.size[0] / mode.field[2])
        return picture_size(field, min(options.width, finest), options.height)

    def _controls(self, offered: Mapping[str, Any]) -> dict[str, Any]:
        """Return the controls to set, of those that this camera has; each reports its lowest and highest value."""
        controls: dict[str, Any] = {}
        if "FrameDurationLimits" in offered:
            shortest, longest = offered["FrameDurationLimits"][:2]
            duration_us = min(max(round(1e6 / self._options.fps), shortest), longest)
            controls["FrameDurationLimits"] = (duration_us, duration_us)
        if "AfMode" in offered:
            controls["AfMode"] = CONTINUOUS
        if "AeFlickerPeriod" in offered and self._options.power_line_hz.isdecimal():
            half_period_us = round(1e6 / (2 * int(self._options.power_line_hz)))
            controls.update({"AeFlickerMode": MANUAL, "AeFlickerPeriod": half_period_us})
        crop = self._options.crop
        if crop is not None and not self._crops_here:
            # libcamera scales this onto what the sensor reads out, which is flipped by then.
            part = crop.unturned(*self._turn).within(*offered["ScalerCrop"][1])
            # On a Pi 5 picamera2 sets the crops of all streams, which overrule the one of all together.
            controls.update({"ScalerCrops": [part]} if "ScalerCrops" in offered else {"ScalerCrop": part})
        return controls

    def _next_due(self, camera: Any) -> Frame:
        while True:
            # The blocking calls of picamera2 wait for ever when the sensor stops.
            request = camera.capture_request(wait=False).get_result(timeout=self._options.timeout_s)
            if request is None:
                raise RuntimeError("picamera2 returned no request")
            try:
                captured_at = _captured_at(request.get_metadata(), self._options.timeout_s)
                # The frame duration is a wish: some sensors cannot be as slow, and a virtual camera ignores it.
                if not self._rate_limiter.take(captured_at):
                    continue
                image = self._picture(request.make_buffer("main"), camera.camera_configuration())
            finally:
                request.release()
            self._number += 1
            return Frame(image, captured_at, self._number)

    def _picture(self, buffer: NDArray[np.uint8], granted: Mapping[str, Any]) -> NDArray[np.uint8]:
        stream, colours = granted["main"], granted.get("colour_space")
        width, height = stream["size"]
        code, row_bytes = _CODES.get(stream["format"], stream["format"]), stream.get("stride") or 0
        full_range = str(getattr(colours, "range", "")).endswith("Full")
        picture = colour_picture if self._options.colour else gray_picture
        try:
            image = picture(buffer, code, width, height, row_bytes=row_bytes, full_range=full_range)
        except ValueError as error:
            raise CaptureError(f"camera {self.name}: sends {error}") from None
        image = turned(with_square_pixels(image, self._options.pixel_aspect or SQUARE), *self._turn)
        return self._options.crop.of(image) if self._crops_here and self._options.crop else image


def _can_crop(mode: SensorMode | None) -> bool:
    """Whether a part of the field can be requested: a driver that reports its fields has a ScalerCrop."""
    return mode is not None and mode.reported


def _captured_at(metadata: Mapping[str, Any] | None, timeout_s: float) -> float:
    """Move libcamera's SensorTimestamp (ns since boot, sleep included) to the monotonic clock; now where there is none.

    Nor is one that lies in the future, or further back than a frame may be late.
    """
    now = time.monotonic()
    stamp = (metadata or {}).get("SensorTimestamp")
    if not stamp:
        return now
    age_s: float = time.clock_gettime(time.CLOCK_BOOTTIME) - stamp / 1e9
    return now - age_s if 0 <= age_s <= timeout_s else now


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__

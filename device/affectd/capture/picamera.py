"""A Raspberry Pi camera through picamera2, which comes with Raspberry Pi OS."""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib.util
import time
from typing import Any

from affectd.capture.camera_options import CameraOptions
from affectd.capture.pixel_aspect import SQUARE, with_square_pixels
from affectd.errors import CaptureError
from affectd.events import Frame

BUFFERS = 3
"""One being exposed, one being processed, one being read."""
_FAULTS = (RuntimeError, OSError, LookupError, ValueError)
"""What picamera2 raises when libcamera fails, finds no camera, or does not fit the numpy that is installed."""


class PiCamera:
    """The first camera on the Pi's camera connector; its pixels count as square unless `pixel_aspect` is given."""

    def __init__(self, options: CameraOptions) -> None:
        self._size = (options.width, options.height)
        self._fps = options.fps
        self._timeout_s = options.timeout_s
        self._pixel_aspect = options.pixel_aspect or SQUARE
        self._camera: Any = None
        self._number = 0
        self.name = "picamera"

    def open(self) -> None:
        """Open and start the camera. Raises CaptureError."""
        self.close()
        library = _picamera2()
        cameras = _connected(library)
        if not cameras:
            raise CaptureError(
                "camera picamera: none found by libcamera; is the ribbon seated? does `rpicam-hello "
                "--list-cameras` show it? see README, Cameras"
            )
        self.name = f"picamera {cameras[0]['Model']}"
        try:
            self._camera = library.Picamera2(cameras[0]["Num"])
            # queue=False: a frame that nobody waited for is given back, so each one read is fresh.
            # What libcamera calls RGB888 lies in memory as B, G, R.
            self._camera.configure(
                self._camera.create_video_configuration(
                    main={"size": self._size, "format": "RGB888"},
                    controls={"FrameRate": self._fps},
                    buffer_count=BUFFERS,
                    queue=False,
                )
            )
            self._camera.start()
        except _FAULTS as error:
            self.close()
            raise CaptureError(
                f"camera {self.name}: cannot be started ({error}); another program may hold it"
            ) from error
        self._number = 0

    def read(self) -> Frame:
        """Wait for the next frame; (height, width, 3) BGR. Raises CaptureError."""
        if self._camera is None:
            raise CaptureError(f"camera {self.name}: not open")
        try:
            # The blocking calls of picamera2 wait for ever when the sensor stops.
            request = self._camera.capture_request(wait=False).get_result(timeout=self._timeout_s)
        except concurrent.futures.TimeoutError:
            raise CaptureError(
                f"camera {self.name}: no picture for {self._timeout_s:g} s; is the ribbon seated? `dmesg` may say more"
            ) from None
        except (RuntimeError, OSError) as error:
            raise CaptureError(f"camera {self.name}: failed ({error})") from error
        try:
            image = request.make_array("main")
            captured_at = _captured_at(request.get_metadata())
        finally:
            request.release()
        self._number += 1
        return Frame(with_square_pixels(image, self._pixel_aspect), captured_at, self._number)

    def close(self) -> None:
        """Stop and release the camera; harmless when not open."""
        camera, self._camera = self._camera, None
        if camera is None:
            return
        # Closing what has failed may fail again; what matters is that the device is let go.
        with contextlib.suppress(RuntimeError, OSError):
            camera.cancel_all_and_flush()
        with contextlib.suppress(RuntimeError, OSError):
            camera.close()


def list_picameras() -> list[tuple[str, str]]:
    """Give ('picamera', model) of every camera on the Pi's connectors; none without picamera2.

    Raises CaptureError when picamera2 is there and does not work.
    """
    if importlib.util.find_spec("picamera2") is None:
        return []
    return [("picamera", camera["Model"]) for camera in _connected(_picamera2())]


def _picamera2() -> Any:
    try:
        import picamera2
    except ImportError as error:
        raise CaptureError(
            f"camera picamera: picamera2 is not installed ({error}); on Raspberry Pi OS run "
            "`apt install python3-picamera2` and make affectd's venv with --system-site-packages"
        ) from error
    except _FAULTS as error:
        raise CaptureError(f"camera picamera: picamera2 cannot be loaded ({error}); install it again") from error
    return picamera2


def _connected(library: Any) -> list[dict[str, Any]]:
    """Give libcamera's cameras without USB ones, which V4L2 serves better. Raises CaptureError."""
    try:
        cameras = library.Picamera2.global_camera_info()
    except _FAULTS as error:
        raise CaptureError(
            f"camera picamera: libcamera cannot list cameras ({error}); does `rpicam-hello --list-cameras`?"
        ) from error
    return [camera for camera in cameras if "usb" not in camera["Id"].lower()]


def _captured_at(metadata: dict[str, Any]) -> float:
    """Move libcamera's SensorTimestamp (ns since boot, sleep included) to the monotonic clock."""
    age_s: float = time.clock_gettime(time.CLOCK_BOOTTIME) - metadata["SensorTimestamp"] / 1e9
    return time.monotonic() - age_s

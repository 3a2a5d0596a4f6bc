"""Show what affectd's class makes of the virtual camera: python frames.py."""

from __future__ import annotations

import logging
import time

import cv2
import numpy as np
import virtual_camera

from affectd.capture.camera_options import CameraOptions
from affectd.capture.crop import Crop
from affectd.capture.picamera import PiCamera
from affectd.capture.picamera_library import list_picameras
from affectd.capture.turned_camera import turned
from affectd.errors import CaptureError

SECONDS = 4.0
PHOTOGRAPH = cv2.imread("/var/tmp/scene.jpg", cv2.IMREAD_GRAYSCALE)


def watch(what: str, **asked: object) -> None:
    options = CameraOptions(**{"width": 1024, "height": 768, "fps": 10, "timeout_s": 2, **asked})
    camera = PiCamera(options)
    began_at = time.monotonic()
    camera.open()
    opened_s = time.monotonic() - began_at
    frame = camera.read()
    first_at, frames = frame.captured_at, 0
    while frame.captured_at - first_at < SECONDS:
        frame = camera.read()
        frames += 1
    age_ms = 1000 * (time.monotonic() - frame.captured_at)
    rows, columns = frame.image.shape
    wanted = turned(PHOTOGRAPH, options.rotate, options.mirror)
    wanted = options.crop.of(wanted) if options.crop else wanted
    print(
        f"{what}: {columns}x{rows} grey, {np.abs(frame.image - wanted.astype(float)).mean():.1f} grey levels from the "
        f"photograph, {frames / SECONDS:.1f} frames a second, opened in {opened_s:.2f} s, {age_ms:.0f} ms old"
    )
    virtual_camera.VirtualPicamera2.newest.starve()
    try:
        while True:
            camera.read()
    except CaptureError as error:
        print(" starved:", error)
    camera.close()
    camera.open()
    print(" opened again:", "x".join(str(side) for side in camera.read().image.shape[::-1]))
    camera.close()


logging.getLogger("picamera2").setLevel(logging.ERROR)
print("cameras:", list_picameras())
watch("as it comes, 10 asked")
watch("turned by 90 degrees, 30 asked", rotate=90, fps=30)
watch("the middle half, mirrored", crop=Crop.parse("0.25,0,0.5,1"), mirror=True)

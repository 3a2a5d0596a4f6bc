"""What `affectd check` finds out about the camera: does it open, is its picture black, upright, with a face in it?"""

from __future__ import annotations

import statistics
import time
from contextlib import suppress

from affectd import assembly
from affectd.capture.protocols import Camera, EndOfClipError
from affectd.capture.turned_camera import TURNS, turned
from affectd.cli.finding import Finding
from affectd.config import CameraConfig, Config
from affectd.errors import ModelError
from affectd.events import Frame
from affectd.face.detector import FaceDetector
from affectd.face.haar import HaarDetector
from affectd.face.preprocess import to_gray
from affectd.face.tracker import FaceTracker

LOOK_S = 2.0
FEWEST_FRAMES = 5
"""Looked at even where that takes longer: the detector runs on every second, and two must show a face."""
MOST_S = 10.0
"""A slow box looks no longer than this at what a clip has of it."""
BLACK = 8
"""Grey level below which the mean of a black picture lies."""


def probe_camera(config: Config) -> Finding:
    """Open the camera and look for a face for two seconds, unless privacy is on. Raises CaptureError."""
    settings = config.camera
    camera = assembly.make_camera(config, assembly.open_clip(config, realtime=False, loop=False))
    if camera is None:
        return Finding("camera", "off", f"camera.source is {settings.source}")
    reason = assembly.privacy_sources(config).reason()
    if reason is not None:
        return Finding("camera", "off", "privacy is on: not opened", reason)
    look = _Look(_detector(config))
    try:
        camera.open()
        _look_for_a_face(camera, max(LOOK_S, FEWEST_FRAMES / settings.fps), look)
    finally:
        camera.close()
    return look.finding(camera.name, settings)


def _detector(config: Config) -> FaceDetector:
    """Return the configured detector; Haar where its file is not there, of which another finding tells."""
    try:
        return assembly.make_face_detector(config)
    except ModelError:
        return HaarDetector(config.face.min_size)


def _look_for_a_face(camera: Camera, duration_s: float, look: _Look) -> None:
    frame = camera.read()
    look.take(frame)
    ends_at, gives_up_at = frame.captured_at + duration_s, time.monotonic() + MOST_S
    with suppress(EndOfClipError):
        while not look.face_is_upright and frame.captured_at < ends_at and time.monotonic() < gives_up_at:
            frame = camera.read()
            look.take(frame)


class _Look:
    """What the frames of a few seconds show, as they come and turned by each quarter of a circle."""

    def __init__(self, detector: FaceDetector) -> None:
        self._trackers = {degrees: FaceTracker(detector) for degrees in (0, *TURNS)}
        self._seen = dict.fromkeys(self._trackers, 0)
        """Frames with a face, by degrees of turning."""
        self._levels: list[float] = []
        """Mean grey level of each frame."""
        self._size = ""

    @property
    def face_is_upright(self) -> bool:
        """Whether a face was seen without turning."""
        return self._seen[0] > 0

    def take(self, frame: Frame) -> None:
        """Search a frame for a face, as it is and turned by each quarter."""
        gray = to_gray(frame.image)
        self._size = f"{gray.shape[1]}x{gray.shape[0]}"
        self._levels.append(float(gray.mean()))
        for degrees, tracker in self._trackers.items():
            self._seen[degrees] += bool(tracker.update(turned(gray, degrees), frame.captured_at))

    def finding(self, name: str, settings: CameraConfig) -> Finding:
        """Sum up what was seen."""
        found = f"{name}: {self._size}"
        if self.face_is_upright:
            return Finding("camera", "ok", f"{found}, a face is seen")
        degrees = max(self._seen, key=lambda degrees: self._seen[degrees])
        if self._seen[degrees]:
            # A mirror image turns the other way.
            rotate = (settings.rotate + (-degrees if settings.mirror else degrees)) % 360
            advice = f"if the camera is not mounted upright, set camera.rotate = {rotate}"
            found = f"{found}, a face is seen only once the picture is turned by {degrees} degrees"
            return Finding("camera", "warning", found, advice)
        if statistics.median(self._levels) < BLACK:
            return Finding(
                "camera", "warning", f"{found}, the picture is black", "is the lens covered, or the room dark?"
            )
        return Finding("camera", "ok", f"{found}, no face is seen")

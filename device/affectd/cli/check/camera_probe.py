"""What `affectd check` finds out about the camera: does it open, is its picture good, upright, with a face in it?"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from affectd import assembly
from affectd.capture.frame_check import is_blank
from affectd.capture.protocols import Camera, EndOfClipError
from affectd.capture.source_settings import is_clip
from affectd.capture.turned_camera import TURNS, turned
from affectd.cli.aiming import Appearance, Verdict, judge_brightness, judge_contrast, judge_sharpness, judge_size
from affectd.cli.check.finding import Finding
from affectd.config import CameraConfig, Config
from affectd.errors import CaptureError, ModelError
from affectd.events import Box, Frame
from affectd.face.detector import FaceDetector
from affectd.face.haar import HaarDetector
from affectd.face.preprocess import GrayImage, PixelBox, to_gray
from affectd.face.tracker import FaceTracker

LOOK_S = 2.0
SETTLE_S = 1.0
"""Looked at in any case: a camera's exposure settles first."""
FEWEST_FRAMES = 5
"""Looked at even where that takes longer: the detector runs on every second, and two must show a face."""
MOST_S = 10.0
"""A slow box looks no longer than this at what a clip has of it."""
BLACK = 8
"""Grey level below which the mean of a black picture lies."""
OF_THE_FACE = {"brightness", "contrast", "sharpness", "size"}
OF_THE_PICTURE = {"brightness", "sharpness"}
"""The verdict on a picture without a face: an empty room may be flat."""


def probe_camera(config: Config) -> Finding:
    """Open the camera and look for a face for two seconds, unless privacy is on. Raises CaptureError."""
    settings = config.camera
    camera = assembly.make_camera(config, assembly.open_clip(config, realtime=False, loop=False))
    if camera is None:
        return Finding("camera", "off", f"camera.source is {settings.source}")
    reason = assembly.privacy_sources(config).reason()
    if reason is not None:
        return Finding("camera", "off", "privacy is on: not opened", reason)
    look = _Look(_detector(config), config.face.min_size)
    try:
        camera.open()
        _search_face(camera, max(LOOK_S, FEWEST_FRAMES / settings.fps), look)
        mode = camera.mode
    finally:
        camera.close()
    if look.was_blank and not is_clip(settings.source):
        raise CaptureError(
            f"camera {camera.name}: its pictures are of one even colour, without even the noise of a covered lens; is "
            "the lens closed, or does the driver deliver nothing?"
        )
    return look.finding(camera.name if mode is None else f"{camera.name} ({mode})", settings)


def _detector(config: Config) -> FaceDetector:
    """Return the configured detector; Haar where its file is not there, which another finding reports."""
    try:
        return assembly.make_face_detector(config)
    except ModelError:
        return HaarDetector(config.face.min_size)


def _search_face(camera: Camera, duration_s: float, look: _Look) -> None:
    frame = camera.read()
    look.take(frame)
    began_at, gives_up_at = frame.captured_at, time.monotonic() + MOST_S
    with suppress(EndOfClipError):
        while (
            frame.captured_at - began_at < (SETTLE_S if look.face_is_upright else duration_s)
            and time.monotonic() < gives_up_at
        ):
            frame = camera.read()
            look.take(frame)


class _Look:
    """What the frames of a few seconds show, as they come and turned by each quarter of a circle."""

    def __init__(self, detector: FaceDetector, min_size: float) -> None:
        self._min_size = min_size
        self._trackers = {degrees: FaceTracker(detector) for degrees in (0, *TURNS)}
        self._seen = dict.fromkeys(self._trackers, 0)
        """Frames with a face, by degrees of turning."""
        self._levels: list[float] = []
        """Mean grey level of each frame."""
        self.was_blank = True
        """Whether nothing could be seen on any frame, not even noise."""
        self._picture: GrayImage = np.zeros((0, 0), np.uint8)
        """The newest with an upright face in it, else the newest."""
        self._face: Box | None = None

    @property
    def face_is_upright(self) -> bool:
        """Whether a face was seen without turning."""
        return self._seen[0] > 0

    def take(self, frame: Frame) -> None:
        """Search a frame for a face, as it is and turned by each quarter."""
        gray = to_gray(frame.image)
        self.was_blank = self.was_blank and is_blank(frame.image)
        self._levels.append(float(gray.mean()))
        for degrees, tracker in self._trackers.items():
            tracks = tracker.update(turned(gray, degrees), frame.captured_at)
            self._seen[degrees] += bool(tracks)
            if degrees == 0 and tracks:
                self._picture, self._face = gray, _fractions(tracks[0].box, gray)
        if self._face is None:
            self._picture = gray

    def finding(self, name: str, settings: CameraConfig) -> Finding:
        """Sum up what was seen."""
        height, width = self._picture.shape
        found = f"{name}: {width}x{height}"
        if self._face is not None:
            return _judged(f"{found}, a face is seen", OF_THE_FACE, self._verdicts())
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
        return _judged(f"{found}, no face is seen", OF_THE_PICTURE, self._verdicts())

    def _verdicts(self) -> list[Verdict]:
        height, width = self._picture.shape
        seen = Appearance.of(self._picture, self._face)
        size = [] if self._face is None else [judge_size(self._face, width, height, self._min_size)]
        return [*size, judge_brightness(seen), judge_contrast(seen), judge_sharpness(seen)]


def _judged(found: str, names: set[str], verdicts: Sequence[Verdict]) -> Finding:
    """Add what was measured to what was found; what is not good is a warning, with what to do."""
    kept = [verdict for verdict in verdicts if verdict.name in names]
    measured = ", ".join(f"{verdict.name} {verdict.value} ({verdict.word})" for verdict in kept if verdict.value)
    good = all(verdict.good for verdict in kept)
    advice = "; ".join(verdict.advice for verdict in kept if verdict.advice)
    return Finding("camera", "ok" if good else "warning", f"{found}: {measured}", advice)


def _fractions(box: PixelBox, picture: GrayImage) -> Box:
    rows, columns = picture.shape
    return Box(box[0] / columns, box[1] / rows, box[2] / columns, box[3] / rows)

"""The face path: a frame in, the faces in it with quality and calibrated probabilities out."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from itertools import pairwise

from affectd.events import UNREAD, Box, FaceReading, Frame, Mouth, Probabilities, TrackedFace
from affectd.face.crop_sequence import CropSequences
from affectd.face.detector import FaceDetector
from affectd.face.mouth import MouthTracker
from affectd.face.prediction_cache import FaceModel, PredictionCache
from affectd.face.preprocess import FacePreprocessing, GrayImage, Image, PixelBox, to_gray
from affectd.face.quality import face_quality
from affectd.face.tracker import FaceTracker, Track

log = logging.getLogger(__name__)

COLOURLESS = (
    "the pictures are grey, but the face model was trained on colour; it reads less from them: take a camera or a "
    "camera.pixel_format with colour, or a model for grey"
)


@dataclass(frozen=True, slots=True)
class FaceTimings:
    """What the stages of one frame took, milliseconds; the last three are sums over its faces."""

    gray: float
    track: float
    """Detection and tracking."""
    quality: float
    """With the watch over the mouths, where several are in view."""
    preprocess: float
    classify: float
    """Next to nothing for a face that has not changed."""


@dataclass
class FaceReader:
    """Reads faces from frames, one after the other. Not thread-safe."""

    model: FaceModel
    preprocessing: FacePreprocessing
    tracker: FaceTracker
    max_faces: int = 3
    """Faces classified in one frame: the one in front, then the largest."""
    last_timings: FaceTimings | None = field(default=None, init=False)
    """Of the newest frame; None before the first."""
    notice: str | None = field(default=None, init=False)
    """What is wrong with the newest frame for this model; None: nothing."""
    _mouths: MouthTracker = field(default_factory=MouthTracker, init=False)
    _sequences: CropSequences = field(init=False)
    _predictions: PredictionCache = field(init=False)

    def __post_init__(self) -> None:
        self._sequences = CropSequences(self.preprocessing.frames)
        self._predictions = PredictionCache(self.model)

    @classmethod
    def create(
        cls,
        model: FaceModel,
        preprocessing: FacePreprocessing,
        detector: FaceDetector,
        *,
        detect_every: int = 5,
        max_faces: int = 3,
    ) -> FaceReader:
        """Build the reader with a tracker around the detector."""
        return cls(model, preprocessing, FaceTracker(detector, detect_every), max_faces)

    def reset(self) -> None:
        """Forget all faces, after a gap in the pictures; track numbers go on counting up."""
        self.tracker.reset()
        self._mouths.reset()
        self.begin_sequences()
        self._predictions.reset()

    def begin_sequences(self) -> None:
        """Let the crops of the next frame be the first of a network's several frames."""
        self._sequences.reset()

    def read(self, frame: Frame) -> FaceReading:
        """Find, follow, judge and classify the faces in `frame`."""
        start = time.perf_counter()
        gray = to_gray(frame.image)
        grayed = time.perf_counter()
        tracks = self.tracker.update(gray, frame.captured_at)[: self.max_faces]
        tracked = time.perf_counter()
        crops = [self.preprocessing.crop(gray, track.box, track.roll_deg) for track in tracks]
        qualities = [face_quality(crop) for crop in crops]
        mouths = self._measure_mouths(tracks, crops, frame.captured_at)
        judged = time.perf_counter()
        shown = self._model_crops(frame, tracks, crops)
        inputs = {_number(track): self.preprocessing.prepare(crop) for track, crop in zip(tracks, shown, strict=True)}
        if self.preprocessing.frames > 1:
            inputs = self._sequences.extend(inputs, frame.captured_at)
        prepared = time.perf_counter()
        outputs = self._predictions.predict(inputs, frame.captured_at)
        done = time.perf_counter()
        marks = (start, grayed, tracked, judged, prepared, done)
        self.last_timings = FaceTimings(*(1e3 * (b - a) for a, b in pairwise(marks)))
        faces = tuple(
            _tracked_face(track, gray.shape, quality, output, mouths.get(_number(track)))
            for track, quality, output in zip(tracks, qualities, outputs, strict=True)
        )
        height, width = gray.shape
        return FaceReading(frame.captured_at, faces, (width, height))

    def _model_crops(self, frame: Frame, tracks: list[Track], gray: list[GrayImage]) -> list[Image]:
        """Return the crops that the model is shown: in colour where it wants it, and the frame has it."""
        if not self.preprocessing.wants_colour:
            return gray
        colourless = frame.image.ndim == 2
        if colourless and self.notice is None:
            log.warning("%s", COLOURLESS)
        self.notice = COLOURLESS if colourless else None
        if colourless:
            return gray
        return [self.preprocessing.crop(frame.image, track.box, track.roll_deg) for track in tracks]

    def _measure_mouths(self, tracks: list[Track], crops: list[GrayImage], at: float) -> dict[int, Mouth]:
        """Return what is seen of the mouths, by track; nothing while one person is in view, whose the voice then is."""
        if len(tracks) < 2:
            self._mouths.reset()
            return {}
        faces = {_number(track): crop for track, crop in zip(tracks, crops, strict=True)}
        return self._mouths.measure(faces, at)


def _number(track: Track) -> int:
    """Return the number of a track in view, which has one."""
    assert track.number is not None
    return track.number


def _tracked_face(
    track: Track, shape: tuple[int, ...], quality: float, probabilities: Probabilities | None, mouth: Mouth | None
) -> TrackedFace:
    if probabilities is None:  # somebody is there, of whom nothing is read
        quality, probabilities = 0.0, UNREAD
    return TrackedFace(_number(track), _fractions(track.box, shape), quality, probabilities, track.roll_deg, mouth)


def _fractions(box: PixelBox, shape: tuple[int, ...]) -> Box:
    """Return the part of `box` inside the picture of `shape` (height, width), as fractions of it."""
    rows, columns = shape[:2]
    left, right = (min(max(value, 0.0), columns) / columns for value in (box[0], box[0] + box[2]))
    top, bottom = (min(max(value, 0.0), rows) / rows for value in (box[1], box[1] + box[3]))
    return Box(left, top, right - left, bottom - top)

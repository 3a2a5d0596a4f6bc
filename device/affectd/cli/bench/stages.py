"""How long each stage takes, measured in this process on a clip played as fast as it goes."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from affectd import assembly
from affectd.capture.clip import Clip
from affectd.capture.protocols import EndOfClipError
from affectd.config import Config
from affectd.errors import CaptureError, ModelError
from affectd.events import FaceReading, Frame, VoiceReading
from affectd.face.detector import FaceDetector
from affectd.face.preprocess import to_gray
from affectd.inference.model import Model
from affectd.store.outbox import Outbox

DETECT_EVERY = 5
"""Frames from one in which the detectors alone are measured to the next."""
APPENDS = 200
EVENT_BYTES = 900
"""About the size of an event."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage took."""

    name: str
    median_ms: float
    p95_ms: float
    count: int

    def to_json(self) -> dict[str, float]:
        """Return the numbers, three decimals."""
        return {"median_ms": round(self.median_ms, 3), "p95_ms": round(self.p95_ms, 3), "count": self.count}


class Samples:
    """Milliseconds by stage, in the order in which the stages first appear."""

    def __init__(self) -> None:
        self._samples: dict[str, list[float]] = defaultdict(list)

    def add(self, stage: str, ms: float) -> None:
        """Take in one measurement."""
        self._samples[stage].append(ms)

    def time(self, stage: str, work: Callable[[], Item]) -> Item:
        """Do the work, measure it, return its result."""
        began = time.perf_counter()
        result = work()
        self.add(stage, 1000 * (time.perf_counter() - began))
        return result

    def total_ms(self, stage: str) -> float:
        """Return the sum of one stage."""
        return sum(self._samples[stage])

    def stages(self) -> list[Stage]:
        """Sum them up."""
        stages = []
        for name, ms in self._samples.items():
            median, p95 = np.percentile(ms, (50, 95))
            stages.append(Stage(name, float(median), float(p95), len(ms)))
        return stages


def measure_stages(config: Config) -> tuple[list[Stage], dict[str, str]]:
    """Measure opening the models, the face and voice paths, fusion and the outbox, one after the other.

    Returns the stages, and the models by what they read, with what runs them.
    """
    samples = Samples()
    face = samples.time("open face model", lambda: assembly.open_configured_model(config, "face"))
    voice = samples.time("open voice model", lambda: assembly.open_configured_model(config, "voice"))
    readings: list[FaceReading | VoiceReading] = []
    if face is not None:
        readings += measure_face(config, face, samples, _detectors(config))
    if voice is not None:
        readings += measure_voice(config, voice, samples)
    _measure_fusion(config, face, voice, readings, samples)
    _measure_outbox(samples)
    models = {task: str(model) for task, model in (("face", face), ("voice", voice)) if model is not None}
    return samples.stages(), models


def measure_face(
    config: Config, model: Model, samples: Samples, detectors: Mapping[str, FaceDetector]
) -> list[FaceReading]:
    """Measure frames in which a face was classified, the path's total over these; and `detectors` by themselves."""
    camera = assembly.make_camera(config, unpaced(config), colour=assembly.wants_colour(model))
    if camera is None:
        return []
    reader = assembly.make_face_reader(config, model)
    readings = []
    for frame in _items(camera.open, camera.read, camera.close):
        began = time.perf_counter()
        reading = reader.read(frame)
        total = 1000 * (time.perf_counter() - began)
        readings.append(reading)
        if reading.faces and reader.last_timings is not None:
            _add_all(samples, "face", asdict(reader.last_timings))
            samples.add("face path", total)
        if frame.number % DETECT_EVERY == 0:
            _measure_detectors(detectors, frame, samples)
    return readings


def _detectors(config: Config) -> dict[str, FaceDetector]:
    """Return each face detector whose file is there, by its name in the settings."""
    detectors = {}
    for name in ("haar", "blazeface"):
        with suppress(ModelError):
            face = dataclasses.replace(config.face, detector=name)
            detectors[name] = assembly.make_face_detector(dataclasses.replace(config, face=face))
    return detectors


def _measure_detectors(detectors: Mapping[str, FaceDetector], frame: Frame, samples: Samples) -> None:
    """Measure full detection in a frame, which the face path does in every few."""
    gray = to_gray(frame.image)
    for name, detector in detectors.items():
        samples.time(f"detector: {name}", partial(detector.detect, detector.shrink(gray), frame.number // DETECT_EVERY))


def measure_voice(config: Config, model: Model, samples: Samples) -> list[VoiceReading]:
    """Measure hops in which somebody spoke; the path's total is over these."""
    microphone = unpaced(config).microphone
    if microphone is None:
        return []
    reader = assembly.make_voice_reader(config, model)
    readings = []
    for chunk in _items(microphone.open, microphone.read, microphone.close):
        for reading in reader.feed(chunk):
            readings.append(reading)
            if reading.active and reader.last_timings is not None:
                timings = asdict(reader.last_timings)
                _add_all(samples, "voice", timings)
                samples.add("voice path", sum(timings.values()))
    return readings


def _measure_fusion(
    config: Config,
    face: Model | None,
    voice: Model | None,
    readings: list[FaceReading | VoiceReading],
    samples: Samples,
) -> None:
    fuser = assembly.make_fuser(config, face, voice)
    for reading in sorted(readings, key=lambda reading: reading.captured_at):
        began = time.perf_counter()
        if isinstance(reading, FaceReading):
            fuser.update_face(reading)
        else:
            fuser.update_voice(reading)
        fuser.step(reading.captured_at)
        samples.add("fuse", 1000 * (time.perf_counter() - began))


def _measure_outbox(samples: Samples) -> None:
    """Measure durable appends, on the disk where temporary files lie."""
    with tempfile.TemporaryDirectory(prefix="affectd-bench-") as folder:
        outbox = Outbox(Path(folder) / "outbox.db", max_events=10 * APPENDS, max_bytes=100 * APPENDS * EVENT_BYTES)
        for _ in range(APPENDS):
            samples.time("outbox append", lambda: outbox.append(lambda _seq, _id: bytes(EVENT_BYTES)))
        outbox.close()


def _add_all(samples: Samples, path: str, timings: dict[str, float]) -> None:
    for stage, ms in timings.items():
        samples.add(f"{path}: {stage}", ms)


def unpaced(config: Config) -> Clip:
    """Open the clip, to be played as fast as possible. Raises CaptureError where the camera is none."""
    clip = assembly.open_clip(config, realtime=False, loop=False)
    if clip is None:
        raise CaptureError(f"{config.camera.source}: is not a clip; name one with --clip FILE")
    return clip


def _items(open_it: Callable[[], None], read: Callable[[], Item], close: Callable[[], None]) -> Iterator[Item]:
    """Return what a device delivers until the clip ends."""
    open_it()
    try:
        while True:
            yield read()
    except EndOfClipError:
        return
    finally:
        close()

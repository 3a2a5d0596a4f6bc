"""The preview's camera and microphone: each is read on a thread of its own, judged and shown."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from affectd.capture.protocols import Camera, Microphone
from affectd.cli import aiming
from affectd.errors import CaptureError
from affectd.events import LABELS, VOICE_LABELS, AudioChunk, FaceReading, Frame, TrackedFace, VoiceReading
from affectd.face.preprocess import to_gray
from affectd.voice.sound_check import FULL_SCALE, Loudness, loudness

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from affectd.cli.preview.view import View
    from affectd.config import Config
    from affectd.face.reader import FaceReader
    from affectd.voice.reader import VoiceReader

CLOSE_S = 2.0
"""How long a device that hangs may take to close; the end of the process closes it then."""
RETRY_S = 3.0
"""Pause before a microphone that failed is opened again."""
WIDEST = 960
"""Columns to which larger pictures are shrunk for the browser."""
JUDGE_EVERY_S = 0.5
"""A word on the picture changes no faster than it can be read; judging costs about what finding a face does."""
RATE_S = 3.0
"""Time over which frames are counted."""
STARTING = "starting"
"""Shown in the place of a device until its first frame or chunk."""
JUDGED_S = 10.0
"""Sound that is judged: long enough for whoever speaks to pause in it."""


class Feed(ABC):
    """A context manager: inside, a thread reads a device. `raise_fault` raises what ended it."""

    def __init__(self, name: str, device: str) -> None:
        self.device = device
        """What a person calls it."""
        self.stop = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def __enter__(self) -> Feed:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the device."""
        self.stop.set()
        self._thread.join(CLOSE_S)

    def raise_fault(self) -> None:
        """Raise what ended the thread, such as CaptureError."""
        if self._fault is not None:
            raise self._fault

    def _work(self) -> None:
        try:
            self.run()
        except Exception as fault:
            self._fault = fault

    @abstractmethod
    def run(self) -> None:
        """Read until `stop` is set."""


class CameraFeed(Feed):
    """Has every frame read, judged and shown."""

    def __init__(self, camera: Camera, reader: FaceReader, view: View, config: Config) -> None:
        """Prepare; nothing is opened yet."""
        super().__init__("camera", camera.name)
        self._camera, self._reader, self._view, self._config = camera, reader, view, config
        self._times: deque[float] = deque()
        self._measures: list[dict[str, Any]] = []
        self._judged_at = float("-inf")
        view.put("camera", STARTING)

    def run(self) -> None:
        """Show frame after frame. Raises CaptureError."""
        try:
            self._camera.open()
            while not self.stop.is_set():
                frame = self._camera.read()
                reading = self._reader.read(frame)
                rate = self._rate(frame.captured_at)
                if self._view.watched and not self.stop.is_set():
                    self._view.put("camera", self._described(frame, reading, rate), _jpeg(frame.image))
        finally:
            self._camera.close()

    def _rate(self, at: float) -> float | None:
        """Return the frames a second of the newest RATE_S; None before there was a third of that."""
        self._times.append(at)
        while at - self._times[0] > RATE_S:
            self._times.popleft()
        spent = at - self._times[0]
        return (len(self._times) - 1) / spent if spent > RATE_S / 3 else None

    def _described(self, frame: Frame, reading: FaceReading, rate: float | None) -> dict[str, Any]:
        height, width = frame.image.shape[:2]
        if frame.captured_at - self._judged_at >= JUDGE_EVERY_S:
            self._judged_at = frame.captured_at
            self._measures = self._judged(frame, reading, rate)
        return {
            "name": self._camera.name,
            "size": [width, height],
            "min_size_px": round(self._config.face.min_size * height),
            "measures": self._measures,
            "faces": [_face_json(face, width, height, self._config.face.min_size) for face in reading.faces],
        }

    def _judged(self, frame: Frame, reading: FaceReading, rate: float | None) -> list[dict[str, Any]]:
        front = reading.primary
        seen = aiming.Appearance.of(to_gray(frame.image), None if front is None else front.box)
        verdicts = [
            aiming.judge_brightness(seen),
            aiming.judge_contrast(seen),
            aiming.judge_sharpness(seen),
            aiming.judge_rate(rate, self._config.camera.fps),
        ]
        return [verdict.to_json() for verdict in verdicts]


class MicrophoneFeed(Feed):
    """Has the sound judged and shown; a microphone that fails is opened again: the camera can be aimed meanwhile."""

    def __init__(self, microphone: Microphone, reader: VoiceReader | None, view: View) -> None:
        """Prepare; nothing is opened yet."""
        super().__init__("microphone", microphone.name)
        self._microphone, self._reader, self._view = microphone, reader, view
        self._blocks: deque[Loudness] = deque(maxlen=round(JUDGED_S / aiming.BLOCK_S))
        self._newest: VoiceReading | None = None
        view.put("microphone", STARTING)

    def run(self) -> None:
        """Show chunk after chunk."""
        while not self.stop.is_set():
            try:
                self._read()
            except CaptureError as fault:
                self._view.put("microphone", {"name": self._microphone.name, "fault": str(fault)})
                self.stop.wait(RETRY_S)

    def _read(self) -> None:
        self._blocks.clear()
        self._newest = None
        if self._reader is not None:
            self._reader.reset()
        try:
            self._microphone.open()
            while not self.stop.is_set():
                chunk = self._microphone.read()
                if chunk.samples.size and not self.stop.is_set():
                    self._process(chunk)
        finally:
            self._microphone.close()

    def _process(self, chunk: AudioChunk) -> None:
        self._blocks.append(loudness(chunk.samples))
        for reading in [] if self._reader is None else self._reader.feed(chunk):
            self._newest = reading
        self._view.put("microphone", self._described())

    def _described(self) -> dict[str, Any]:
        newest, voice = self._blocks[-1], self._newest
        return {
            "name": self._microphone.name,
            "fault": None,
            "level_db": round(newest.level_db, 1),
            "peak_db": _decibels(newest.peak),
            "verdict": aiming.judge_sound(self._blocks).to_json(),
            "speech": None if self._reader is None else self._reader.activity.probability,
            "voice": None if voice is None else _voice_json(voice),
        }


def _face_json(face: TrackedFace, width: int, height: int, min_size: float) -> dict[str, Any]:
    return {
        "track": face.track,
        "box": face.box.to_json(),
        "roll_deg": round(face.roll_deg),
        "quality": round(face.quality, 2),
        "measures": [
            aiming.judge_size(face.box, width, height, min_size).to_json(),
            aiming.judge_place(face.box).to_json(),
        ],
        **_emotion_json(face.probabilities, LABELS),
    }


def _voice_json(reading: VoiceReading) -> dict[str, Any]:
    emotion = {} if reading.probabilities is None else _emotion_json(reading.probabilities, VOICE_LABELS)
    return {"active": reading.active, "snr_db": reading.snr_db, **emotion}


def _emotion_json(probabilities: tuple[float, ...], labels: tuple[str, ...]) -> dict[str, Any]:
    best = max(range(len(labels)), key=lambda i: probabilities[i])
    return {
        "emotion": labels[best],
        "probabilities": [[name, round(p, 3)] for name, p in zip(labels, probabilities, strict=True)],
    }


def _decibels(peak: int) -> float:
    return round(20 * float(np.log10(max(peak, 1) / FULL_SCALE)), 1)


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    height, width = image.shape[:2]
    if width > WIDEST:
        size = (WIDEST, max(1, round(height * WIDEST / width)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return bytes(cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, 80))[1])

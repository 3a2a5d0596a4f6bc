"""The flow from devices to readings, with the real readers and hand-overs: what a closed device leaves behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.config import Config
from affectd.errors import CaptureError
from affectd.events import AudioChunk, Frame
from affectd.face.haar import HaarDetector
from affectd.face.preprocess import FacePreprocessing, to_gray
from affectd.face.reader import FaceReader
from affectd.fusion.fuser import Fuser
from affectd.pipeline import Pipeline
from affectd.publish.publisher import Publisher
from affectd.service.meters import Meters
from affectd.service.pool import Pool
from affectd.service.supervisor import Supervisor
from affectd.voice.features import MfccFeatures
from affectd.voice.level_activity import LevelActivity
from affectd.voice.reader import VoiceReader
from support.broker import Listener, Mosquitto
from support.publishing import TOPICS, running
from support.scenes import scene
from support.speech import RATE, speech
from support.waiting import until

CHUNK = RATE // 10
HASTE = 5
"""Times faster than real time that the microphone hears."""


class Classifier:
    """Answers as one that is sure of the first label."""

    def __init__(self, labels: int) -> None:
        self._answer = (1.0, *[0.0] * (labels - 1))

    def probabilities(self, x: object) -> tuple[float, ...]:
        return self._answer


class Seeing:
    """A camera before which somebody stands still; `pulled_out`: for the next reading of it."""

    name = "camera"

    def __init__(self) -> None:
        self.pulled_out = False
        self.picture = scene((320, 220, 170))

    def open(self) -> None:
        pass

    def read(self) -> Frame:
        time.sleep(0.05)
        if self.pulled_out:
            self.pulled_out = False
            raise CaptureError("camera: pulled out")
        return Frame(self.picture, time.monotonic(), 1)

    def close(self) -> None:
        pass


class Hearing:
    """A microphone that hears what is left of `sound`, and then a quiet room."""

    name = "microphone"

    def __init__(self) -> None:
        self.sound: NDArray[np.int16] = np.zeros(0, np.int16)
        self._noise = np.random.default_rng(0)

    def open(self) -> None:
        pass

    def read(self) -> AudioChunk:
        time.sleep(CHUNK / RATE / HASTE)
        said, self.sound = self.sound[:CHUNK], self.sound[CHUNK:]
        room = self._noise.normal(0, 20, CHUNK).astype(np.int16)
        room[: said.size] += said
        return AudioChunk(room, RATE, time.monotonic())

    def close(self) -> None:
        pass


class Box:
    """A pipeline over these devices, and what a subscriber receives of it."""

    def __init__(self, publisher: Publisher, listener: Listener) -> None:
        self._listener = listener
        self.camera, self.microphone = Seeing(), Hearing()
        colour = FacePreprocessing(channels=3, colour="rgb", equalize=False)
        self.face_reader = FaceReader.create(Classifier(7), colour, HaarDetector(), detect_every=1)
        self.voice_reader = VoiceReader(Classifier(8), MfccFeatures(), LevelActivity())
        self._pipeline = Pipeline(
            Config(),
            camera=Pool(self.camera, Seeing),
            microphone=Pool(self.microphone, Hearing),
            face=Pool(self.face_reader, lambda: self.face_reader),
            voice=Pool(self.voice_reader, lambda: self.voice_reader),
            fuser=Fuser(),
            publisher=publisher,
            meters=Meters(),
            clip=False,
        )
        self.parts = Supervisor(self._pipeline.components)

    def close_devices(self) -> None:
        """As the privacy switch does."""
        assert self.parts.pause(self._pipeline.devices, 5.0) == []

    def open_devices(self) -> None:
        self.parts.resume(self._pipeline.devices)

    @property
    def tracks(self) -> list[int]:
        """The numbers of the faces in all readings so far."""
        return [face["track"] for told in self._listener.on(TOPICS.faces) for face in told.json["faces"]]

    @property
    def camera_notice(self) -> str | None:
        return self._pipeline.camera_notice

    @property
    def speaking(self) -> list[bool]:
        """Whether somebody spoke, in all readings so far."""
        return [told.json["active"] for told in self._listener.on(TOPICS.voice)]


@pytest.fixture
def box(broker: Mosquitto, tmp_path: Path) -> Iterator[Box]:
    with (
        Listener(broker, TOPICS.faces, TOPICS.voice) as listener,
        running(broker.port, tmp_path, faces=True, voice=True) as published,
    ):
        until(lambda: published.connected)
        made = Box(published.publisher, listener)
        made.parts.start()
        yield made
        assert made.parts.stop(10.0) == []


def forgotten(box: Box) -> bool:
    """Whether the readers hold nothing of what was seen and heard."""
    seen: Any = box.face_reader.tracker._tracks
    sound: Any = box.voice_reader._stream
    return not seen and not sound._static.size and not sound._pending and not box.voice_reader._heard


def test_a_face_seen_after_the_devices_were_closed_is_another_track(box: Box) -> None:
    until(lambda: box.tracks[-3:] == [1, 1, 1], 20)
    box.close_devices()
    until(lambda: forgotten(box), 2)
    before = len(box.tracks)
    box.open_devices()
    until(lambda: len(box.tracks) > before + 3, 20)
    assert set(box.tracks[before:]) == {2}


def test_a_face_seen_after_a_replug_is_another_track(box: Box) -> None:
    until(lambda: box.tracks[-3:] == [1, 1, 1], 20)
    box.camera.pulled_out = True
    until(lambda: box.tracks[-1] == 2, 20)


def test_pictures_without_the_colour_that_the_model_wants_are_told_while_they_come(box: Box) -> None:
    until(lambda: box.tracks, 20)
    assert box.camera_notice is None
    coloured, box.camera.picture = box.camera.picture, to_gray(box.camera.picture)
    until(lambda: "the pictures are grey" in (box.camera_notice or ""), 20)
    box.camera.picture = coloured
    until(lambda: box.camera_notice is None, 20)


def test_what_was_said_before_the_devices_were_closed_is_not_heard_afterwards(box: Box, tmp_path: Path) -> None:
    said = speech(tmp_path, "Good morning! I am really very happy to see you here, my friend. " * 3)
    until(lambda: len(box.speaking) > 4, 20)  # the quiet room is known
    box.microphone.sound = np.clip(said, -30_000, 30_000).astype(np.int16)
    until(lambda: box.speaking[-1], 20)
    assert box.microphone.sound.size > RATE, "closed in the middle of what is said"
    box.close_devices()
    until(lambda: forgotten(box), 2)
    before = len(box.speaking)
    box.microphone.sound = np.zeros(0, np.int16)
    box.open_devices()
    until(lambda: len(box.speaking) > before + 6, 20)
    assert not any(box.speaking[before:])

"""From a clip of two people, of whom one speaks, to who is said to show the voice's emotion."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.capture.clip import Clip
from affectd.capture.protocols import EndOfClipError
from affectd.events import LABELS, VOICE_LABELS, FaceReading, Person, VoiceReading
from affectd.face.haar import HaarDetector
from affectd.face.preprocess import FacePreprocessing
from affectd.face.reader import FaceReader
from affectd.fusion.fuser import Fuser
from affectd.voice.features import MfccFeatures
from affectd.voice.reader import VoiceReader
from affectd.voice.silero_activity import SileroActivity
from support.media import write_clip
from support.speech import speech
from support.stage import HEIGHT, RATE, STEP, WIDTH, Actor, behaving, envelope, talking

SECONDS, FPS = 17, 10
SENTENCES = (
    "Where have you been all night? We were looking for you everywhere.",
    "No. I do not want this, and I shall not say it again.",
    "Come here, please, and bring me the letter.",
)
PAUSE_S = 0.7


class Leaning:
    """A network that always answers the same."""

    def __init__(self, label: str, p: float, labels: tuple[str, ...]) -> None:
        self._answer = tuple(p if name == label else (1 - p) / (len(labels) - 1) for name in labels)

    def probabilities(self, _x: NDArray[np.float32]) -> tuple[float, ...]:
        return self._answer


def test_the_voice_is_of_the_one_behind_whose_mouth_moves(tmp_path: Path) -> None:
    people = fused(two_people(tmp_path))
    assert [person.emotion == "angry" for person in people] == [False, True]
    assert people[1].face.box.x > 0.5


def two_people(folder: Path) -> Path:
    """Write a clip of somebody in front who chews, and of somebody to the right behind who speaks."""
    pause = np.zeros(round(PAUSE_S * RATE))
    said = np.resize(np.concatenate([np.r_[speech(folder, text), pause] for text in SENTENCES]), SECONDS * RATE)
    rng = np.random.default_rng(4)
    loudness = np.pad(envelope(said / 32768), (0, STEP), mode="edge")
    actors = [
        Actor(170, (170, 240), behaving("chews", len(loudness), rng)),
        Actor(120, (480, 240), talking(loudness, rng)),
    ]
    frames = []
    for number in range(SECONDS * FPS):
        light = np.full((HEIGHT, WIDTH), 140, np.float32)
        for actor in actors:
            actor.draw(light, number / FPS)
        frames.append(cv2.cvtColor(np.asarray(light, np.uint8), cv2.COLOR_GRAY2BGR))
    return write_clip(folder / "two.mp4", frames=frames, fps=FPS, sound=np.asarray(said, np.int16), sample_rate=RATE)


def fused(path: Path) -> list[Person]:
    """Return who is in view at the clip's end: the faces show next to nothing, the voice is angry."""
    face = FaceReader.create(Leaning("neutral", 0.4, LABELS), FacePreprocessing(), HaarDetector())
    features = MfccFeatures()
    voice = VoiceReader(Leaning("angry", 0.8, VOICE_LABELS), features, SileroActivity())
    clip, fuser = Clip(path, realtime=False, loop=False, fps=FPS), Fuser()
    assert clip.camera is not None
    assert clip.microphone is not None
    readings: list[FaceReading | VoiceReading] = []
    for track, read in ((clip.camera, lambda frame: [face.read(frame)]), (clip.microphone, voice.feed)):
        track.open()
        try:
            while True:
                readings += read(track.read())
        except EndOfClipError:
            track.close()
    people: list[Person] = []
    for reading in sorted(readings, key=lambda reading: reading.captured_at):
        if isinstance(reading, FaceReading):
            fuser.update_face(reading)
        else:
            fuser.update_voice(reading)
        people = list(fuser.step(reading.captured_at).people)
    return people

"""Clips of people who talk, composed by program: faces whose mouths move with the sound, or do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from affectd.events import LABELS, VOICE_LABELS, AudioChunk, FaceReading, Frame, VoiceReading
from affectd.face.detector import overlap
from affectd.face.haar import HaarDetector
from affectd.face.preprocess import FacePreprocessing
from affectd.face.reader import FaceReader
from affectd.voice.features import MfccFeatures
from affectd.voice.reader import VoiceReader
from affectd.voice.silero_activity import SileroActivity
from affectd_convert.evaluation.robustness.scenes import room
from support.sounds import as_int16, sound
from support.speech import speech
from support.stage import HEIGHT, RATE, STEP, WIDTH, Actor, behaving, envelope, sensor, talking

SENTENCES = (
    "Good morning! I am really very happy to see you here, my friend.",
    "No. I said that I do not want this, and I shall not say it again.",
    "Where have you been all night? We were looking for you everywhere.",
    "The train to the coast leaves at seven, from the platform on the left.",
)
SPEECH_DB, ROOM_DB, MUSIC_DB = -26.0, -60.0, -36.0
SIDE, FPS = 120, 10.0
JPEG_QUALITY = 70
SAME = 0.2
"""Intersection over union of a face found with the one that was put there."""
SPEAKS, ANSWERS, UNHEARD = "speaks", "answers", "talks unheard"


Samples = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """Who is in a clip; from left to right in an order drawn anew."""

    name: str
    kinds: tuple[str, ...]
    side: int = SIDE
    fps: float = FPS
    flickers: bool = False
    music: bool = False


@dataclass(frozen=True)
class Played:
    """What was read of a clip."""

    scene: Scene
    faces: list[FaceReading]
    voices: list[VoiceReading]
    kinds: dict[int, str]
    """What the person with this track does."""
    spoken: dict[str, list[tuple[float, float]]]
    """When each speaker's turns were, seconds."""


class Nothing:
    """Networks that say nothing."""

    def __init__(self, labels: int) -> None:
        self._answer = (1 / labels,) * labels

    def probabilities(self, _x: NDArray[np.float32]) -> tuple[float, ...]:
        return self._answer


class Material:
    """Faces, rooms and speech."""

    def __init__(self, faces: Path, corpora: Path | None, folder: Path, seed: int) -> None:
        with np.load(faces) as stored:
            chosen = (stored["usage"] == 1) & (stored["ferplus"][:, 9] == 0)
            pixels = stored["pixels"][chosen]
        self.room = room(np.random.default_rng(0))
        self.crops = [
            pixels[i] for i in np.random.default_rng(seed).permutation(len(pixels))[:120] if self._found(pixels[i])
        ]
        self._voices = [[speech(folder, sentence) / 32768 for sentence in SENTENCES]]
        if corpora is not None:
            folders = sorted(path for path in corpora.iterdir() if path.name in {"ravdess", "savee"})
            files = [sorted(path.rglob("*.*")) for path in folders]
            self._voices += [
                [_read(path) for path in some[k : k + 60 : 4]] for some in files for k in range(0, 240, 60)
            ]

    def _found(self, crop: NDArray[np.uint8]) -> bool:
        """Whether the detector sees this face at all."""
        light = self.room.copy()
        Actor(SIDE, (320, 240), behaving("still", STEP, np.random.default_rng(0)), crop).draw(light, 0.0)
        detector = HaarDetector(0.1)
        return len(detector.detect(detector.shrink(np.asarray(light, np.uint8)), 0)) == 1

    def talk(
        self, turns: Sequence[tuple[float, float]], seconds: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return somebody's speech (n,) within these times, in sentences with short pauses."""
        voice = self._voices[rng.integers(len(self._voices))]
        out = np.zeros(round(seconds * RATE))
        for begin, end in turns:
            at = begin
            while at < end - 1.0:
                said = _trimmed(voice[rng.integers(len(voice))])[: round((end - at) * RATE)]
                place = round(at * RATE)
                out[place : place + len(said)] += said[: len(out) - place]
                at += len(said) / RATE + rng.uniform(0.1, 0.5)
        return out


def _read(path: Path) -> Samples:
    samples, rate = soundfile.read(path)
    return np.asarray(resample_poly(samples if samples.ndim == 1 else samples.mean(axis=1), RATE, rate))


def _trimmed(samples: Samples) -> Samples:
    """Return what is said in a clip, at SPEECH_DB."""
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    level = np.sqrt(np.mean(frames**2, axis=1))
    loud = np.flatnonzero(level > 0.025 * level.max())
    return frames[loud[0] : loud[-1] + 1].ravel() * 10 ** (SPEECH_DB / 20) / np.sqrt(np.mean(frames[loud] ** 2))


def play(scene: Scene, material: Material, seconds: float, seed: int) -> Played:
    """Compose a clip and read it."""
    rng = np.random.default_rng(seed)
    turns = list(_turns(seconds, rng))
    spoken = {SPEAKS: turns[::2], ANSWERS: turns[1::2]} if ANSWERS in scene.kinds else {SPEAKS: turns}
    said = {who: material.talk(own, seconds, rng) for who, own in spoken.items()}
    samples = np.sum(list(said.values()), axis=0)
    samples += 10 ** (ROOM_DB / 20) * rng.standard_normal(len(samples))
    if scene.music:
        music = sound("band", seconds, seed)
        samples += music / music.std() * 10 ** (MUSIC_DB / 20)
    if UNHEARD in scene.kinds:
        said[UNHEARD] = material.talk(list(_turns(seconds, rng)), seconds, rng)
    faces, kinds = _see(scene, material, _actors(scene, material, said, seconds, rng), seconds, rng)
    return Played(scene, faces, _hear(samples), kinds, spoken)


def _turns(seconds: float, rng: np.random.Generator) -> Iterator[tuple[float, float]]:
    at = 1.0
    while at < seconds - 2:
        end = min(seconds, at + rng.uniform(6, 15))
        yield at, end
        at = end + rng.uniform(0.5, 3)


def _actors(
    scene: Scene, material: Material, said: dict[str, Samples], seconds: float, rng: np.random.Generator
) -> dict[str, Actor]:
    count, actors = round((seconds + 1) * STEP), {}
    width = WIDTH / len(scene.kinds)
    portrait = rng.integers(2 * len(scene.kinds))  # in every other clip nobody is the portrait
    for place, kind in enumerate(rng.permutation(scene.kinds).tolist()):
        if kind in said:
            loudness = envelope(said[kind])
            curves = talking(np.pad(loudness, (0, count - len(loudness))), rng)
        else:
            curves = behaving(kind, count, rng)
        crop = None if place == portrait else material.crops[rng.integers(len(material.crops))]
        middle = (width * (place + 0.5), HEIGHT / 2 + rng.uniform(-30, 30))
        actors[kind] = Actor(scene.side, middle, curves, crop)
    return actors


def _see(
    scene: Scene, material: Material, actors: dict[str, Actor], seconds: float, rng: np.random.Generator
) -> tuple[list[FaceReading], dict[int, str]]:
    """Read the pictures, a small sensor's and compressed, as the daemon does; return whose each track is too."""
    detector = HaarDetector(min(0.1, 0.8 * scene.side / HEIGHT))
    reader = FaceReader.create(Nothing(len(LABELS)), FacePreprocessing(), detector)
    readings, kinds = [], {}
    television = np.repeat(rng.uniform(0.75, 1.15, round(5 * seconds) + 10), STEP // 5)
    for number, at in enumerate(np.arange(rng.uniform(0, 1 / scene.fps), seconds - 0.1, 1 / scene.fps)):
        light = material.room * np.float32(television[round(at * STEP)] if scene.flickers else 1.0)
        boxes = {kind: actor.draw(light, at) for kind, actor in actors.items()}
        _, coded = cv2.imencode(".jpg", sensor(light, rng), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        picture = np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)
        readings.append(reader.read(Frame(picture, float(at), number)))
        for face in readings[-1].faces:
            box = face.box.x * WIDTH, face.box.y * HEIGHT, face.box.width * WIDTH, face.box.height * HEIGHT
            kind = max(boxes, key=lambda kind: overlap(box, boxes[kind]))
            kinds[face.track] = kind if overlap(box, boxes[kind]) > SAME else "no face"
    return readings, kinds


def _hear(samples: Samples) -> list[VoiceReading]:
    features = MfccFeatures()
    reader = VoiceReader(Nothing(len(VOICE_LABELS)), features, SileroActivity())
    whole, readings = as_int16(samples), []
    for start in range(0, len(whole), RATE // 10):
        chunk = whole[start : start + RATE // 10]
        readings += reader.feed(AudioChunk(chunk, RATE, (start + len(chunk)) / RATE))
    return readings

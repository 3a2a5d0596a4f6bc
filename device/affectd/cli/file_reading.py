"""What was read in one file, as `affectd read` prints it: a line of JSON, or rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd import assembly
from affectd.capture.file_kind import HEAD, kind_of, open_file
from affectd.capture.picture_file import read_picture
from affectd.capture.sound_file import open_sound
from affectd.cli.message_lines import BAR
from affectd.cli.terminal import plain
from affectd.config import Config
from affectd.errors import CaptureError, ConfigError
from affectd.events import LABELS, VOICE_LABELS, TrackedFace, label_map
from affectd.face.still import StillReader
from affectd.voice.reader import VoiceReader
from affectd.voice.recording import RecordingReading, read_recording


@dataclass(frozen=True, slots=True, eq=False)
class FileReading:
    """What was read in one file."""

    path: Path
    picture: NDArray[np.uint8] | None = None
    """(height, width, 3) BGR, upright; None unless the file holds a photograph."""
    faces: tuple[TrackedFace, ...] = ()
    """The largest first."""
    voice: RecordingReading | None = None
    """None unless the file holds sound."""
    of_video: bool = False
    """Whether that is the sound of a video, whose pictures were not read."""
    error: str | None = None
    """Why the file could not be read."""


class FileReader:
    """Reads files by the models of the settings, which are opened when the first file needs them."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def read(self, path: Path) -> FileReading:
        """Read one file. Raises ConfigError, ModelError when the settings or a model will not do for any."""
        try:
            return self._read(path)
        except CaptureError as error:
            return FileReading(path, error=str(error))

    def _read(self, path: Path) -> FileReading:
        with open_file(path) as stream:
            kind = kind_of(stream.read(HEAD))
            stream.seek(0)
            if kind.sense == "picture":
                picture = read_picture(stream, str(path), kind.name)
                return FileReading(path, picture, self._faces.read(picture))
            sound = open_sound(stream, path, kind)
            return FileReading(path, voice=read_recording(self._voices, sound.chunks), of_video=sound.of_video)

    @cached_property
    def _faces(self) -> StillReader:
        model = assembly.open_configured_model(self._config, "face")
        if model is None:
            raise ConfigError("inference.face is off; photographs need a model for faces")
        return assembly.make_still_reader(self._config, model)

    @cached_property
    def _voices(self) -> VoiceReader:
        model = assembly.open_configured_model(self._config, "voice")
        if model is None:
            raise ConfigError("inference.voice is off; sound needs a model for voices")
        return assembly.make_voice_reader(self._config, model)


def to_json(reading: FileReading) -> dict[str, Any]:
    """Return the document of one file; bytes of its name that are no text become U+FFFD."""
    voice = reading.voice
    speaks = voice is not None and voice.probabilities is not None
    return {
        "file": _as_text(str(reading.path)),
        "faces": [_face_json(face) for face in reading.faces],
        "voice": _voice_json(voice) if voice is not None and speaks else None,
        "error": None if reading.error is None else _as_text(reading.error),
    }


def rows(reading: FileReading, width: int) -> list[str]:
    """Return the table's rows for one file, whose name has `width` columns; none where it could not be read."""
    name = f"{plain(str(reading.path)):<{width}}"
    if reading.error is not None:
        return []
    if reading.voice is not None:
        note = " (sound only; `affectd run --clip` plays the video)" if reading.of_video else ""
        return [f"{name}  {_voice_row(reading.voice)}{note}"]
    if not reading.faces:
        return [f"{name}  no face found"]
    names = [name, *[" " * len(name)] * (len(reading.faces) - 1)]
    return [
        f"{start}  face {number:<3} {_face_row(face)}"
        for number, (start, face) in enumerate(zip(names, reading.faces, strict=True), start=1)
    ]


def leading(probabilities: Sequence[float], labels: Sequence[str]) -> tuple[str, float]:
    """Return the likeliest label and its probability."""
    best = max(range(len(labels)), key=lambda i: probabilities[i])
    return labels[best], probabilities[best]


def _face_json(face: TrackedFace) -> dict[str, Any]:
    emotion, confidence = leading(face.probabilities, LABELS)
    return {
        "box": face.box.to_json(),
        "roll_deg": round(face.roll_deg, 1),
        "quality": round(face.quality, 3),
        "emotion": emotion,
        "confidence": round(confidence, 4),
        "probabilities": label_map(face.probabilities, LABELS),
    }


def _voice_json(voice: RecordingReading) -> dict[str, Any]:
    assert voice.probabilities is not None
    emotion, confidence = leading(voice.probabilities, VOICE_LABELS)
    return {
        "speech_s": round(voice.speech_s, 1),
        "emotion": emotion,
        "confidence": round(confidence, 4),
        "probabilities": label_map(voice.probabilities, VOICE_LABELS),
    }


def _face_row(face: TrackedFace) -> str:
    box = face.box
    place = f"at {box.x + box.width / 2:.0%} {box.y + box.height / 2:.0%}, {box.height:.0%} high"
    tilt = f", tilted {face.roll_deg:+.0f}°" if round(face.roll_deg) else ""
    return f"{_emotion(face.probabilities, LABELS)}  quality {face.quality:.2f}, {place}{tilt}"


def _voice_row(voice: RecordingReading) -> str:
    if voice.probabilities is None:
        return f"nobody speaks in {voice.duration_s:.1f} s"
    emotion = _emotion(voice.probabilities, VOICE_LABELS)
    return f"voice    {emotion}  {voice.speech_s:.1f} s of speech in {voice.duration_s:.1f} s"


def _emotion(probabilities: Sequence[float], labels: Sequence[str]) -> str:
    emotion, confidence = leading(probabilities, labels)
    filled = round(BAR * confidence)
    return f"{emotion:<8} {'█' * filled}{'░' * (BAR - filled)} {confidence:4.0%}"


def _as_text(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

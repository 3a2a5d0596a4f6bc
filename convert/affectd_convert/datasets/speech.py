"""RAVDESS, SAVEE, TESS and CREMA-D in their public layouts: the label and speaker stand in the file's name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from affectd.events import VOICE_LABELS
from affectd_convert.errors import DataError

RAVDESS_FOLDS = (
    (2, 5, 14, 15, 16),
    (3, 6, 7, 13, 18),
    (10, 11, 12, 19, 20),
    (8, 17, 21, 23, 24),
    (1, 4, 9, 22),
)
"""A published subject-wise split of the 24 actors."""
_SUFFIXES = {".wav", ".opus", ".flac", ".ogg", ".mp3"}
_RAVDESS = ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise")
_SAVEE = {"a": "angry", "d": "disgust", "f": "fear", "h": "happy", "n": "neutral", "sa": "sad", "su": "surprise"}
_TESS = {"ps": "surprise", **{name: name for name in VOICE_LABELS}}
_CREMAD = {"ANG": "angry", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}


@dataclass(frozen=True)
class Utterance:
    """One recorded clip of one speaker."""

    corpus: str
    path: Path
    speaker: str
    """Unique over the corpora, such as 'ravdess-07'."""
    emotion: str
    """One of VOICE_LABELS."""

    @property
    def label(self) -> int:
        """Index into VOICE_LABELS."""
        return VOICE_LABELS.index(self.emotion)


def _ravdess(name: str) -> tuple[str, str] | None:
    found = re.fullmatch(r"03-01-0([1-8])-0[12]-0[12]-0[12]-(\d\d)", name)
    return (found[2], _RAVDESS[int(found[1]) - 1]) if found else None


def _savee(name: str) -> tuple[str, str] | None:
    found = re.fullmatch(r"(DC|JE|JK|KL)_(sa|su|[adfhn])\d+", name)
    return (found[1], _SAVEE[found[2]]) if found else None


def _tess(name: str) -> tuple[str, str] | None:
    found = re.fullmatch(r"(OAF|YAF|OA)_\w+_(\w+)", name)
    emotion = _TESS.get(found[2].lower()) if found else None
    return (found[1].ljust(3, "F"), emotion) if found and emotion else None


def _cremad(name: str) -> tuple[str, str] | None:
    found = re.fullmatch(r"(\d{4})_[A-Z]{3}_([A-Z]{3})_[A-Z]{2}", name)
    return (found[1], _CREMAD[found[2]]) if found and found[2] in _CREMAD else None


@dataclass(frozen=True)
class Corpus:
    """How one corpus names its files, and what its licence allows."""

    name: str
    title: str
    licence: str
    parse: Callable[[str], tuple[str, str] | None]


CORPORA = (
    Corpus("ravdess", "RAVDESS", "CC BY-NC-SA 4.0", _ravdess),
    Corpus("savee", "SAVEE", "research use, registration required", _savee),
    Corpus("tess", "TESS", "CC BY-NC-ND 4.0", _tess),
    Corpus("cremad", "CREMA-D", "ODbL 1.0", _cremad),
)


def read_speech(path: Path) -> list[Utterance]:
    """Find every clip of the four corpora below `path`, sorted. Raises DataError when there is none."""
    if not path.is_dir():
        raise DataError(f"{path}: no such folder; expected one that holds RAVDESS, SAVEE, TESS or CREMA-D")
    found = []
    for file in sorted(path.rglob("*")):
        if file.suffix.lower() not in _SUFFIXES:
            continue
        name = f"{file.parent.name}_{file.stem}" if re.fullmatch(r"(sa|su|[adfhn])\d+", file.stem) else file.stem
        for corpus in CORPORA:
            if parsed := corpus.parse(name):
                found.append(Utterance(corpus.name, file, f"{corpus.name}-{parsed[0]}", parsed[1]))
                break
    if not found:
        raise DataError(f"{path}: no clip named as RAVDESS, SAVEE, TESS or CREMA-D name theirs")
    return found


def fold_of(utterance: Utterance) -> int | None:
    """Give the RAVDESS fold (0..4) of a clip's actor; None for the other corpora."""
    if utterance.corpus != "ravdess":
        return None
    actor = int(utterance.speaker.rpartition("-")[2])
    return next(i for i, actors in enumerate(RAVDESS_FOLDS) if actor in actors)


def read_samples(path: Path, sample_rate: int) -> NDArray[np.int16]:
    """Read a clip as mono int16 at `sample_rate`. Raises DataError when it cannot be read or is empty."""
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        raise DataError(f"{path}: not a readable sound file: {error}") from error
    if not len(samples):
        raise DataError(f"{path}: holds no sound")
    mono = samples.mean(axis=1)
    if rate != sample_rate:
        divisor = int(np.gcd(rate, sample_rate))
        mono = resample_poly(mono, sample_rate // divisor, rate // divisor)
    return np.asarray(np.clip(mono * 32768.0, -32768, 32767), np.int16)

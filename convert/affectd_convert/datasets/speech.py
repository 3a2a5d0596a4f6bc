"""RAVDESS, SAVEE, TESS and CREMA-D in their public layouts: the label and speaker stand in the file's name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
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
CHOSEN_ON = (1, 2, 3)
"""Folds on which the voice network and its training were chosen as they stand in this program: they flatter it."""
LEAKING = "leaking"
"""A split by clips instead of speakers, for comparison with papers that split so: flattering."""
_SHORTEST_S = 0.1
_SUFFIXES = {".wav", ".opus", ".flac", ".ogg", ".mp3"}
_RAVDESS = ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise")
_RAVDESS_SPEECH = "03-01-"
_RAVDESS_OTHER = re.compile(r"0[1-3]-0[12]-0[1-8](-\d\d){4}")
"""Modality 03 (audio only) and channel 01 (speech) are what is read; the rest is video and song."""
_SAVEE = {"a": "angry", "d": "disgust", "f": "fear", "h": "happy", "n": "neutral", "sa": "sad", "su": "surprise"}
_TESS = {
    **dict.fromkeys(("ps", "pleasant_surprise", "pleasant_surprised"), "surprise"),
    **{name: name for name in VOICE_LABELS if name != "calm"},
}
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
    found = re.fullmatch(r"03-01-0([1-8])-0[12]-0[12]-0[12]-(0[1-9]|1\d|2[0-4])", name)
    return (found[2], _RAVDESS[int(found[1]) - 1]) if found else None


def _savee(name: str) -> tuple[str, str] | None:
    found = re.fullmatch(r"(DC|JE|JK|KL)_(sa|su|[adfhn])\d+", name)
    return (found[1], _SAVEE[found[2]]) if found else None


def _tess(name: str) -> tuple[str, str] | None:
    # One file of the public copy begins with OA instead of OAF.
    found = re.fullmatch(rf"(OAF?|YAF)_[a-z]+_({'|'.join(_TESS)})", name, re.IGNORECASE)
    return (found[1].upper().ljust(3, "F"), _TESS[found[2].lower()]) if found else None


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


@dataclass(frozen=True)
class SpeechSet:
    """What a folder of speech holds."""

    clips: tuple[Utterance, ...]
    """Every clip that can be used, sorted by path."""
    skipped: tuple[str, ...]
    """What was left out and why, a sentence each."""


def read_speech(path: Path) -> list[Utterance]:
    """Find every usable clip of the four corpora below `path`, sorted. Raises DataError when there is none."""
    return list(survey_speech(path).clips)


def survey_speech(path: Path) -> SpeechSet:
    """Find the clips of the four corpora below `path`, and say what is left out.

    Files whose header cannot be read or that hold no sound are named, and so are those that no corpus
    names so; RAVDESS's songs and second copies of a clip are counted. Raises DataError when no clip is left.
    """
    if not path.is_dir():
        raise DataError(f"{path}: no such folder; expected one that holds RAVDESS, SAVEE, TESS or CREMA-D")
    clips: dict[tuple[str, str], Utterance] = {}
    skipped: list[str] = []
    songs = copies = 0
    for file in sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES):
        name = _corpus_name(file)
        corpus, found = next(((c, p) for c in CORPORA if (p := c.parse(name))), (None, None))
        if corpus is None or found is None:
            if _RAVDESS_OTHER.fullmatch(name) and not name.startswith(_RAVDESS_SPEECH):
                songs += 1
            else:
                hint = "; RAVDESS has actors 01 to 24" if name.startswith(_RAVDESS_SPEECH) else ""
                named = "not named as RAVDESS, SAVEE, TESS or CREMA-D name theirs"
                skipped.append(f"{file.relative_to(path)}: {named}{hint}")
        elif (corpus.name, name) in clips:
            # The copies of RAVDESS and TESS that are passed around hold every clip twice, in two folders.
            copies += 1
        elif problem := _sound_problem(file):
            skipped.append(f"{file.relative_to(path)}: {problem}")
        else:
            clips[corpus.name, name] = Utterance(corpus.name, file, f"{corpus.name}-{found[0]}", found[1])
    if songs:
        skipped.append(f"{songs} RAVDESS files that are songs or belong to a video: only its audio-only speech is used")
    if copies:
        skipped.append(f"{copies} second copies of a clip in another folder")
    if not clips:
        why = f"; {skipped[0]}" if skipped else ""
        raise DataError(f"{path}: no clip named as RAVDESS, SAVEE, TESS or CREMA-D name theirs{why}")
    return SpeechSet(tuple(clips.values()), tuple(skipped))


def _corpus_name(file: Path) -> str:
    """Give the name a corpus knows a file by: SAVEE's own folders hold the speaker, DC/a01.wav."""
    return f"{file.parent.name}_{file.stem}" if re.fullmatch(r"(sa|su|[adfhn])\d+", file.stem) else file.stem


def _sound_problem(file: Path) -> str:
    """Say what is wrong with a sound file as far as its header tells; empty when nothing is."""
    try:
        duration = soundfile.info(file).duration
    except (OSError, soundfile.LibsndfileError):
        return "not a readable sound file"
    return "" if duration >= _SHORTEST_S else f"holds {duration * 1000:.0f} ms of sound; too little for a word"


def require_every_label(clips: Sequence[Utterance], path: Path) -> None:
    """Raise DataError when one of VOICE_LABELS has no clip: a network cannot learn what it never hears."""
    heard = {clip.emotion for clip in clips}
    if absent := [label for label in VOICE_LABELS if label not in heard]:
        hint = "; only RAVDESS has calm" if "calm" in absent else ""
        raise DataError(f"{path}: no clip labelled {', '.join(absent)}{hint}; add a corpus that has some")


def fold_of(utterance: Utterance) -> int | None:
    """Give the RAVDESS fold (0..4) of a clip's actor; None for the other corpora."""
    if utterance.corpus != "ravdess":
        return None
    actor = int(utterance.speaker.rpartition("-")[2])
    return next(i for i, actors in enumerate(RAVDESS_FOLDS) if actor in actors)


def split(clips: Sequence[Utterance], fold: int | str | None) -> tuple[list[Utterance], list[Utterance]]:
    """Give the clips to train on and those of RAVDESS to validate on.

    The actors of fold 0..4 are held out. LEAKING holds out clips of RAVDESS at random, as many papers do, so
    that every speaker is heard in training. None trains on all, and holds out none of those it validates on.
    Raises DataError when there is nothing to validate on.
    """
    acted = [clip for clip in clips if clip.corpus == "ravdess"]
    if fold == LEAKING:
        order = np.random.default_rng(0).permutation(len(acted))
        held = [acted[row] for row in sorted(order[: len(acted) // 5])]
    else:
        held = [clip for clip in acted if fold in {None, fold_of(clip)}]
    if not held:
        raise DataError(f"no clip of RAVDESS{'' if fold is None else f' fold {fold}'} is here: nothing to validate on")
    kept = set() if fold is None else set(held)
    return [clip for clip in clips if clip not in kept], held


def describe_heard(training: Sequence[Utterance]) -> list[str]:
    """Say in a few words what is trained on."""
    return [f"{len(training)} clips of {len({clip.speaker for clip in training})} speakers"]


def describe_held(held: Sequence[Utterance], fold: int | str | None) -> str:
    """Say in a few words who is validated on, and whether the model heard them in training."""
    if fold == LEAKING:
        return "a random fifth of RAVDESS, its speakers trained on (leaking)"
    actors = ", ".join(sorted({clip.speaker.rpartition("-")[2] for clip in held}))
    return f"RAVDESS actors {actors}, {'all of them' if fold is None else 'never'} trained on"


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

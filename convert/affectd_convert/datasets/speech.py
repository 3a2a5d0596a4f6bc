"""RAVDESS, SAVEE, TESS and CREMA-D in their public layouts: which clips are there, of use, and held out."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from affectd.events import VOICE_LABELS
from affectd_convert.datasets.left_out import LeftOut
from affectd_convert.datasets.not_itself import is_pointer, packed, still_packed
from affectd_convert.datasets.sound import problem_of, read_samples
from affectd_convert.datasets.speech_names import (
    CORPORA,
    NOT_NAMED,
    clip_name,
    clip_of,
    is_song_or_video,
    why_no_clip,
)
from affectd_convert.errors import DataError

__all__ = [
    "CHOSEN_ON", "CORPORA", "LEAKING", "RAVDESS_FOLDS", "SpeechSet", "Utterance", "describe_heard",
    "describe_held", "fold_of", "read_samples", "read_speech", "require_every_label", "split", "survey_speech",
]  # fmt: skip

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
_SUFFIXES = (".wav", ".flac", ".opus", ".ogg", ".mp3")
"""Of several copies of a clip the first of these is taken: CREMA-D has AudioWAV beside AudioMP3."""
_VIDEOS = {".mp4", ".flv", ".avi", ".mov", ".mkv", ".webm"}


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

    Every clip is read to its end. Those that cannot be read, are cut short or silent are named, and so are files
    that no corpus names so; git-lfs pointers, videos, RAVDESS's songs and second copies of a clip are counted.
    Raises DataError when no clip is left.
    """
    if not path.is_dir():
        why = "packed; unpack it, and name the folder" if packed(path) and path.exists() else "no such folder"
        raise DataError(f"{path}: {why}; expected one that holds RAVDESS, SAVEE, TESS or CREMA-D")
    files = _SoundFiles.below(path)
    # What decodes sound lets other threads run meanwhile.
    with ThreadPoolExecutor() as pool:
        chosen = list(pool.map(_first_usable, files.clips.values()))
    skipped = files.left_out(path, chosen)
    clips = [found.clip for found in chosen if found.clip]
    if not clips:
        why = "no clip that can be used" if files.clips or files.pointers else f"no clip{NOT_NAMED.removeprefix('not')}"
        because = skipped[0] if skipped else still_packed(path).removesuffix("; ")
        raise DataError(f"{path}: {why}{f'; {because}' if because else ''}")
    return SpeechSet(tuple(sorted(clips, key=lambda clip: clip.path)), skipped)


@dataclass(frozen=True)
class _Choice:
    """Of the files that are one clip, the one that is taken."""

    clip: Utterance | None
    unusable: tuple[tuple[Path, str], ...]
    """Files tried before, and what is wrong with each."""
    copies: int
    """Files not needed."""


@dataclass
class _SoundFiles:
    """What a folder holds, by the files' names."""

    clips: dict[str, list[Utterance]] = field(default_factory=dict)
    """The files that are one clip, the best format first."""
    pointers: list[Path] = field(default_factory=list)
    """Clips of which git-lfs has not fetched the sound."""
    foreign: list[Path] = field(default_factory=list)
    """Sounds that no corpus names so."""
    songs: int = 0
    videos: int = 0

    @classmethod
    def below(cls, path: Path) -> _SoundFiles:
        """Search `path` and the folders in it."""
        found = cls()
        for file in sorted(path.rglob("*"), key=lambda file: (_rank(file), file)):
            # Those are an archiver's leftovers: ._1001_DFA_ANG_XX.wav in __MACOSX.
            if not file.name.startswith("."):
                found._add(file)
        return found

    def _add(self, file: Path) -> None:
        name = clip_name(file)
        if file.suffix.lower() in _VIDEOS:
            self.videos += 1
        elif file.suffix.lower() not in _SUFFIXES:
            return
        elif is_song_or_video(name):
            self.songs += 1
        elif not (clip := clip_of(name)):
            self.foreign.append(file)
        elif is_pointer(file):
            self.pointers.append(file)
        else:
            corpus, speaker, label = clip
            self.clips.setdefault(name, []).append(Utterance(corpus.name, file, speaker, label))

    def left_out(self, path: Path, chosen: Sequence[_Choice]) -> tuple[str, ...]:
        """Return what of the folder `path` is not used and why, a sentence each."""
        left_out = LeftOut()
        left_out.add_pointers(path, self.pointers)
        for file, problem in sorted(one for found in chosen for one in found.unusable):
            left_out.add(str(file.relative_to(path)), problem)
        for file in sorted(self.foreign):
            left_out.add(str(file.relative_to(path)), why_no_clip(clip_name(file)))
        counted = {
            "RAVDESS files that are songs or belong to a video: only its audio-only speech is used": self.songs,
            "videos: of clips only the sound files are read": self.videos,
            "second copies of a clip, in another folder or format": sum(found.copies for found in chosen),
        }
        return (*left_out.sentences(), *(f"{number} {what}" for what, number in counted.items() if number))


def _rank(file: Path) -> int:
    suffix = file.suffix.lower()
    return _SUFFIXES.index(suffix) if suffix in _SUFFIXES else len(_SUFFIXES)


def _first_usable(copies: Sequence[Utterance]) -> _Choice:
    unusable: list[tuple[Path, str]] = []
    for number, clip in enumerate(copies, 1):
        if not (problem := problem_of(clip.path)):
            return _Choice(clip, tuple(unusable), len(copies) - number)
        unusable.append((clip.path, problem))
    return _Choice(None, tuple(unusable), 0)


def require_every_label(clips: Sequence[Utterance], path: Path, fold: int | str | None = None) -> None:
    """Raise DataError when one of VOICE_LABELS has no clip, or none to train on while `fold` is held out: `split`.

    A network cannot learn what it never hears.
    """
    _require_every_label(clips, f"{path}: no clip", "add a corpus that has some")
    training, _ = split(clips, fold)
    held_out = f"{path}: held out fold {fold} has all there is: no clip to train on"
    _require_every_label(training, held_out, "add speakers, or hold out others")


def _require_every_label(clips: Sequence[Utterance], what: str, remedy: str) -> None:
    heard = {clip.emotion for clip in clips}
    if absent := [label for label in VOICE_LABELS if label not in heard]:
        hint = "; only RAVDESS has calm" if "calm" in absent else ""
        raise DataError(f"{what} labelled {', '.join(absent)}{hint}; {remedy}")


def fold_of(utterance: Utterance) -> int | None:
    """Return the RAVDESS fold (0..4) of a clip's actor; None for the other corpora."""
    if utterance.corpus != "ravdess":
        return None
    actor = int(utterance.speaker.rpartition("-")[2])
    return next(i for i, actors in enumerate(RAVDESS_FOLDS) if actor in actors)


def split(clips: Sequence[Utterance], fold: int | str | None) -> tuple[list[Utterance], list[Utterance]]:
    """Return the clips to train on and those of RAVDESS to validate on.

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


def describe_heard(training: Sequence[Utterance]) -> str:
    """Return in a few words what is trained on."""
    return f"{len(training)} clips of {len({clip.speaker for clip in training})} speakers"


def describe_held(held: Sequence[Utterance], fold: int | str | None) -> str:
    """Return in a few words who is validated on, and whether the model heard them in training."""
    if fold == LEAKING:
        return "a random fifth of RAVDESS, its speakers trained on (leaking)"
    actors = ", ".join(sorted({clip.speaker.rpartition("-")[2] for clip in held}))
    return f"RAVDESS actors {actors}, {'all of them' if fold is None else 'never'} trained on"

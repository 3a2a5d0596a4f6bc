"""How RAVDESS, SAVEE, TESS and CREMA-D name their clips: the label and the speaker stand in the file's name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from affectd_convert.datasets.names import label_of

_RAVDESS = ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise")
_RAVDESS_SPEECH = "03-01-"
_RAVDESS_OTHER = re.compile(r"0[1-3]-0[12]-0[1-8](-\d\d){4}")
"""Modality 03 (audio only) and channel 01 (speech) are what is read; the rest is video and song."""
_SAVEE = {"a": "angry", "d": "disgust", "f": "fear", "h": "happy", "n": "neutral", "sa": "sad", "su": "surprise"}
_CREMAD = {"ang": "angry", "dis": "disgust", "fea": "fear", "hap": "happy", "neu": "neutral", "sad": "sad"}


@dataclass(frozen=True)
class Corpus:
    """How one corpus names its files, and what its licence allows."""

    name: str
    title: str
    licence: str
    parse: Callable[[str], tuple[str, str] | None]
    """From a name as `clip_name` returns it to speaker and label; None when the corpus names no clip so."""


def _ravdess(name: str) -> tuple[str, str] | None:
    found = re.fullmatch(r"03-01-0([1-8])-0[12]-0[12]-0[12]-(0[1-9]|1\d|2[0-4])", name)
    return (found[2], _RAVDESS[int(found[1]) - 1]) if found else None


def _savee(name: str) -> tuple[str, str] | None:
    found = re.fullmatch(r"(dc|je|jk|kl)_(sa|su|[adfhn])\d+", name)
    return (found[1].upper(), _SAVEE[found[2]]) if found else None


def _tess(name: str) -> tuple[str, str] | None:
    # One file of the public copy begins with OA instead of OAF.
    found = re.fullmatch(r"(oaf?|yaf)_[a-z]+_([a-z_ ]+)", name)
    label = label_of(found[2]) if found else None
    return (found[1].upper().ljust(3, "F"), label) if found and label else None


def _cremad(name: str) -> tuple[str, str] | None:
    # The level is LO, MD, HI, or XX for unspecified; the corpus's own 1040_ITH_SAD_X shows that it may be anything.
    found = re.fullmatch(r"(\d{4})_[a-z]{3}_([a-z]{3})(_[a-z]*)?", name)
    return (found[1], _CREMAD[found[2]]) if found and found[2] in _CREMAD else None


CORPORA = (
    Corpus("ravdess", "RAVDESS", "CC BY-NC-SA 4.0", _ravdess),
    Corpus("savee", "SAVEE", "research use, registration required", _savee),
    Corpus("tess", "TESS", "CC BY-NC-ND 4.0", _tess),
    Corpus("cremad", "CREMA-D", "ODbL 1.0", _cremad),
)
NOT_NAMED = f"not named as {', '.join(corpus.title for corpus in CORPORA[:-1])} or {CORPORA[-1].title} name theirs"


def clip_name(file: Path) -> str:
    """Return the name a corpus knows a clip by, in small letters; SAVEE's own folders hold the speaker, DC/a01.wav."""
    stem = file.stem.lower()
    return f"{file.parent.name.lower()}_{stem}" if re.fullmatch(r"(sa|su|[adfhn])\d+", stem) else stem


def clip_of(name: str) -> tuple[Corpus, str, str] | None:
    """Return corpus, speaker (unique over the corpora, such as 'ravdess-07') and label of a clip; None for no clip."""
    for corpus in CORPORA:
        if found := corpus.parse(name):
            return corpus, f"{corpus.name}-{found[0]}", found[1]
    return None


def is_song_or_video(name: str) -> bool:
    """Return whether RAVDESS names a song so, or the sound of a video."""
    return bool(_RAVDESS_OTHER.fullmatch(name)) and not name.startswith(_RAVDESS_SPEECH)


def why_no_clip(name: str) -> str:
    """Return why a sound file of that name belongs to no corpus."""
    return f"{NOT_NAMED}; RAVDESS has actors 01 to 24" if name.startswith(_RAVDESS_SPEECH) else NOT_NAMED

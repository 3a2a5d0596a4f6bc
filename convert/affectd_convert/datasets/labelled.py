"""Labelled faces and clips to score a bundle on, as its user has them: an npz, a csv, folders, an index of sounds."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectd.events import LABELS, VOICE_LABELS
from affectd.resample import SAMPLE_RATE
from affectd.voice.features import VoiceFeatures
from affectd_convert.datasets import fer2013, speech
from affectd_convert.datasets.clip_windows import fewest_samples
from affectd_convert.datasets.face_set import AS_FER2013, FaceSet, PictureForm
from affectd_convert.datasets.names import label_of
from affectd_convert.datasets.speech import read_samples
from affectd_convert.errors import DataError

INDEX = "index.csv"
UNKNOWN = "the model does not know it"
"""Why samples of a label are left out; their number and label are before it."""
FOLDS = "folds"
"""Folder in a voice bundle: for each fold of RAVDESS, named as below, the model that never heard its actors."""
SPEECH_SPLITS = {f"fold{number}": number for number in range(len(speech.RAVDESS_FOLDS))}
SPLITS = {"training": fer2013.TRAINING, "public": fer2013.PUBLIC_TEST, "private": fer2013.PRIVATE_TEST}


@dataclass(frozen=True, eq=False)
class Faces:
    """Pictures of faces with their labels."""

    pixels: NDArray[np.uint8]
    """(n, 48, 48) grey; of one's own, squares of another side, and (n, side, side, 3) BGR."""
    truth: NDArray[np.int64]
    """(n,) label numbers."""
    skipped: tuple[str, ...] = ()
    """What was left out and why, a sentence each."""


@dataclass(frozen=True, eq=False)
class Clips:
    """Recorded clips with their labels, in memory."""

    samples: tuple[NDArray[np.int16], ...]
    """Each (samples,), mono."""
    truth: NDArray[np.int64]
    """(n,) label numbers."""
    speakers: tuple[str, ...]
    """Who speaks, n of them; the file's own name where nobody says."""
    skipped: tuple[str, ...] = ()
    """What was left out and why, a sentence each."""


def read_labelled_faces(
    path: Path,
    split: str | None = None,
    labels: Sequence[str] = LABELS,
    form: PictureForm = AS_FER2013,
) -> Faces:
    """Read the faces of `split` (a key of SPLITS), or all that are not FER2013's Training, from FER2013 in any form.

    An npz needs `pixels` and `label` only, and may hold a few labels only; pictures are brought to `form`. Faces of a
    label that is not among `labels` are left out and counted; `truth` numbers `labels`. Raises DataError when none is
    left.
    """
    faces = fer2013.read_faces(path, form)
    rows = faces.usage != fer2013.TRAINING if split is None else faces.usage == SPLITS[split]
    if not rows.any():
        there = ", ".join(name for name, usage in SPLITS.items() if np.any(faces.usage == usage))
        wanted = "any split but training" if split is None else f"split {split}"
        raise DataError(f"{path}: no face of {wanted}; it has {there}: choose one with --split")
    return known_faces(faces.only(rows), path, labels)


def known_faces(faces: FaceSet, path: Path, labels: Sequence[str]) -> Faces:
    """Return the faces of `labels` out of those read from `path`, numbered by them. Raises DataError when none is."""
    numbers = np.array([labels.index(label) if label in labels else -1 for label in LABELS])[faces.label]
    known = numbers >= 0
    unknown = _unknown("faces", Counter(LABELS[number] for number in faces.label[~known]))
    if not known.any():
        raise DataError(f"{path}: no face of {', '.join(labels)}, which the model knows; {'; '.join(unknown)}")
    return Faces(faces.pixels[known], numbers[known], (*faces.skipped, *unknown))


def read_clip_index(path: Path, labels: Sequence[str], features: VoiceFeatures) -> Clips:
    """Read the sounds that an index.csv (or the folder that holds it) names, as mono at 16 kHz.

    The columns `file` (relative to the index) and `emotion`, in any spelling that is known, are needed, `speaker` is
    read if there. Sounds with a label that is not among `labels`, unreadable ones, and those too short for a frame of
    `features` are left out and named. Raises DataError when the index is none or no sound is left.
    """
    index = path / INDEX if path.is_dir() else path
    samples, truth, speakers, skipped = [], [], [], []
    unknown: Counter[str] = Counter()
    for line, row in enumerate(_rows(index), start=2):
        file, emotion = (row["file"] or "").strip(), (row["emotion"] or "").strip()
        label = label_of(emotion, VOICE_LABELS)
        if label is None:
            skipped.append(f"{index.name}:{line}: {file}: label {emotion!r} is none of {', '.join(labels)}")
            continue
        if label not in labels:
            unknown[label] += 1
            continue
        try:
            sound = read_samples(index.parent / file, SAMPLE_RATE)
        except DataError as error:
            skipped.append(f"{index.name}:{line}: {error}")
            continue
        if len(sound) < fewest_samples(features):
            held = 1000 * len(sound) / SAMPLE_RATE
            skipped.append(
                f"{index.name}:{line}: {file}: holds {held:.0f} ms of sound; too little to tell anything from"
            )
            continue
        samples.append(sound)
        truth.append(labels.index(label))
        speakers.append((row.get("speaker") or file).strip())
    skipped += _unknown("clips", unknown)
    if not samples:
        raise DataError(f"{index}: no sound to score; {skipped[0] if skipped else 'it has no rows'}")
    return Clips(tuple(samples), np.array(truth, np.int64), tuple(speakers), tuple(skipped))


def read_fold(path: Path, split: str, labels: Sequence[str]) -> Clips:
    """Read the clips of the actors in the RAVDESS fold `split` (a key of SPEECH_SPLITS) from a folder of corpora.

    Raises DataError when there is none.
    """
    found = speech.survey_speech(path)
    _, whole = speech.split(found.clips, SPEECH_SPLITS[split])
    held = [clip for clip in whole if clip.emotion in labels]
    unknown = _unknown("clips", Counter(clip.emotion for clip in whole if clip.emotion not in labels))
    if not held:
        raise DataError(f"{path}: no clip of {', '.join(labels)}, which the model knows; {'; '.join(unknown)}")
    return Clips(
        tuple(read_samples(clip.path, SAMPLE_RATE) for clip in held),
        np.array([labels.index(clip.emotion) for clip in held], np.int64),
        tuple(clip.speaker for clip in held),
        (*found.skipped, *unknown),
    )


def _unknown(what: str, counts: Mapping[str, int]) -> list[str]:
    """Return a sentence for each label that the model does not know, and of which samples are left out."""
    return [f"{counts[label]} {what} labelled {label}: {UNKNOWN}" for label in VOICE_LABELS if label in counts]


def _rows(index: Path) -> Iterable[Mapping[str, str | None]]:
    try:
        with index.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns = reader.fieldnames or ()
            if not {"file", "emotion"} <= set(columns):
                raise DataError(f"{index}: columns are {', '.join(columns) or 'none'}; expected file and emotion")
            return list(reader)
    except FileNotFoundError:
        raise DataError(f"{index}: not there; expected a csv with the columns file and emotion") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{index}: cannot be read: {error}") from error

"""Every clip as recorded and in several augmented renditions, as static feature frames: made once, read by all runs.

The features cost far more than the training of so small a network, so that they are not made anew in every epoch.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import sys
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.voice import speech_frames
from affectd.voice.features import MfccExtractor, MfccFeatures, mfcc
from affectd_convert.datasets.speech import Utterance, fold_of, read_samples
from affectd_convert.errors import TrainingError
from affectd_convert.training import sound_augment
from affectd_convert.training.sound_augment import Samples, SoundAugmentation, augment

PART = 128
"""Clips in one file, the unit of work and of going on."""
CROWD = 60
"""Clips that babble is made of."""
Frames = NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class Renditions:
    """Static frames of all renditions of one clip; the first rendition is the recording itself."""

    clip: Utterance
    frames: tuple[Frames, ...]
    """Each (frames, static_columns) float16."""


def render(
    clips: Sequence[Utterance],
    features: MfccFeatures,
    how: SoundAugmentation,
    *,
    count: int,
    cache: Path,
    report: Callable[[str], None] = print,
) -> list[Renditions]:
    """Return `count` renditions of every clip, out of `cache` where they were made before.

    Raises DataError when a clip cannot be read, TrainingError when the cache cannot be written or a process that makes
    them is ended from outside.
    """
    bare = replace(features, mean=(), std=())
    folder = cache / _key(clips, bare, how, count)
    parts = [clips[start : start + PART] for start in range(0, len(clips), PART)]
    files = [folder / f"{number:04d}.npz" for number in range(len(parts))]
    stored = [_stored(file, part, count) for file, part in zip(files, parts, strict=True)]
    missing = [index for index, renditions in enumerate(stored) if renditions is None]
    if missing:
        pool = ProcessPoolExecutor()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            crowd = _crowd(clips, features.sample_rate)
            jobs = [pool.submit(_render_part, files[i], parts[i], bare, how, count, crowd, i) for i in missing]
            for done, job in enumerate(jobs, start=1):
                job.result()
                report(f"speech: {count} renditions of {min((done * PART), len(clips))} clips of {len(clips)}")
        except OSError as error:
            raise TrainingError(f"{folder}: cannot be written: {error}") from error
        except BrokenProcessPool as error:
            raise TrainingError(
                f"{folder}: a process that makes renditions was ended from outside, as the kernel does where memory "
                "is short; what is done is kept, and the same command goes on"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
    return [
        rendition
        for file, part, renditions in zip(files, parts, stored, strict=True)
        for rendition in (_read(file, part, count) if renditions is None else renditions)
    ]


def _key(clips: Sequence[Utterance], features: MfccFeatures, how: SoundAugmentation, count: int) -> str:
    """Return what tells these renditions from all others: settings, the code that makes them, and the clips' files."""
    parts = (speech_frames, mfcc, sound_augment, read_samples, sys.modules[__name__])
    code = (inspect.getsource(part) for part in parts)
    files = ((clip, clip.path.stat()) for clip in clips)
    named: dict[str, Any] = {
        "features": features.to_manifest(),
        "augmentation": asdict(how),
        "count": count,
        "code": [hashlib.sha256(text.encode()).hexdigest() for text in code],
        "clips": [f"{clip.corpus}/{clip.path.name} {file.st_size} {file.st_mtime_ns}" for clip, file in files],
    }
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:16]


def _crowd(clips: Sequence[Utterance], sample_rate: int) -> list[Samples]:
    """Read clips of people who are in no validation fold, so that no fold's actors are heard in training."""
    others = [clip for clip in clips if fold_of(clip) is None]
    rows = np.random.default_rng(0).permutation(len(others))[:CROWD]
    return [read_samples(others[row].path, sample_rate) for row in rows]


def _render_part(  # noqa: PLR0917 - a pool passes arguments by position
    file: Path,
    clips: Sequence[Utterance],
    features: MfccFeatures,
    how: SoundAugmentation,
    count: int,
    crowd: Sequence[Samples],
    seed: int,
) -> None:
    frames: list[Frames] = []
    rng = np.random.default_rng(seed)
    for clip in clips:
        samples = read_samples(clip.path, features.sample_rate)
        changed = (
            augment(samples, how, sample_rate=features.sample_rate, crowd=crowd, rng=rng) for _ in range(1, count)
        )
        for sound in (samples, *changed):
            frames.append(MfccExtractor(features).feed(sound).astype(np.float16))
    # Runs of two folds may make the same file at the same time.
    beside = file.with_name(f".new-{os.getpid()}-{file.name}")
    try:
        np.savez(beside, frames=np.concatenate(frames), lengths=[len(one) for one in frames])
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def _stored(file: Path, clips: Sequence[Utterance], count: int) -> list[Renditions] | None:
    """Read a file of the cache; None when it is not there, or damaged."""
    try:
        return _read(file, clips, count)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _read(file: Path, clips: Sequence[Utterance], count: int) -> list[Renditions]:
    with np.load(file, allow_pickle=False) as stored:
        frames, ends = stored["frames"], np.cumsum(stored["lengths"])
    each = np.split(frames, ends[:-1])
    return [Renditions(clip, tuple(each[index * count : (index + 1) * count])) for index, clip in enumerate(clips)]

"""What a run was trained and validated on, as the network sees it; read again from the corpora."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.face.preprocess import FacePreprocessing
from affectd.resample import SAMPLE_RATE
from affectd.voice.features import VoiceFeatures
from affectd_convert.datasets import fer2013, speech
from affectd_convert.datasets.clip_windows import clip_windows
from affectd_convert.errors import DataError
from affectd_convert.evaluation.report import Split
from affectd_convert.training import face_batches, voice_batches
from affectd_convert.training.run_config import RunConfig, read_config

CALIBRATION_SEED = 0
SPEECH_RANGE = 6.0
"""Representative speech is clipped to this many deviations: int8's 256 steps are not for the rarest values."""


@dataclass(frozen=True, eq=False)
class RunData:
    """Inputs drawn from the training data, and the whole validation data."""

    representative: NDArray[np.float32]
    """(n, *input): training samples, every class (and every speaker) alike; int8 takes its ranges from them."""
    held_out: Split
    """Validation samples, in their own order."""


def read_run_data(run: Path, data: Path, *, representative: int = 400) -> RunData:
    """Prepare what the run in `run` saw of the corpora at `data`. Raises DataError when they do not fit."""
    config = read_config(run)
    if isinstance(config.inputs, FacePreprocessing):
        return _face(config, config.inputs, data, representative)
    return _voice(config, config.inputs, data, representative)


def _face(config: RunConfig, preprocessing: FacePreprocessing, data: Path, count: int) -> RunData:
    faces = fer2013.read_fer2013(data)
    training, validation = faces.split(fer2013.TRAINING), faces.split(fer2013.PUBLIC_TEST)
    if not len(training.label) or not len(validation.label):
        raise DataError(f"{data}: needs both a Training and a PublicTest split, as the run had")
    _must_be_what_was_trained_on(
        config,
        data,
        training=fer2013.describe(training),
        validation=fer2013.describe(validation),
    )
    rows = _alike(training.label.tolist(), count)
    chosen = np.stack([preprocessing.prepare_still(training.pixels[row]) for row in rows])
    held = face_batches.PreparedFaces.of(validation, preprocessing)
    return RunData(chosen, Split("FER2013 PublicTest", held.inputs, held.targets.argmax(axis=1)))


def _voice(config: RunConfig, features: VoiceFeatures, data: Path, count: int) -> RunData:
    fold = config.data.fold
    training, held = speech.split(speech.read_speech(data), fold)
    _must_be_what_was_trained_on(
        config,
        data,
        training=speech.describe_heard(training),
        validation=speech.describe_held(held, fold),
    )
    rows = _alike([f"{clip.emotion} {clip.speaker}" for clip in training], count)
    chosen = [_middle_window(training[row], features) for row in rows]
    whole = voice_batches.WholeClips.of(held, features)
    of_clip = np.repeat(np.arange(len(held)), whole.counts)
    held_out = Split(
        speech.describe_held(held, fold),
        whole.inputs,
        whole.targets.argmax(axis=1)[of_clip],
        clips=of_clip,
        groups=np.array([clip.speaker for clip in held])[of_clip],
    )
    return RunData(np.clip(np.stack(chosen), -SPEECH_RANGE, SPEECH_RANGE), held_out)


def _must_be_what_was_trained_on(config: RunConfig, data: Path, *, training: str, validation: str) -> None:
    """Raise DataError when config.json tells of other data than is found now, in the words of the corpora's readers."""
    used = config.data
    for name, then, now in (("training", used.training, training), ("validation", used.validation, validation)):
        if then != now:
            raise DataError(
                f"{data}: not the data of the run: for {name} it had, and here is: {then} and {now}; "
                "give what it was trained on"
            )


def _middle_window(clip: speech.Utterance, features: VoiceFeatures) -> NDArray[np.float32]:
    windows = clip_windows(speech.read_samples(clip.path, SAMPLE_RATE), features)
    return np.asarray(windows[len(windows) // 2])


def _alike(groups: list[Any], count: int) -> list[int]:
    """Draw about `count` rows, as many of each group as there are, without repetition."""
    order = np.random.default_rng(CALIBRATION_SEED).permutation(len(groups))
    taken: dict[Any, list[int]] = {}
    for row in order:
        taken.setdefault(groups[row], []).append(int(row))
    share = max(1, round(count / len(taken)))
    return [row for rows in taken.values() for row in rows[:share]]

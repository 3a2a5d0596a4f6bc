"""Readings of held-out faces and of voices never heard, clear and made worse, as the device's own code makes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.events import LABELS, VOICE_LABELS, AudioChunk
from affectd.face.preprocess import FacePreprocessing, GrayImage
from affectd.face.quality import face_quality
from affectd.inference.bundle import Bundle
from affectd.inference.model import Model, open_model
from affectd.resample import SAMPLE_RATE
from affectd.voice.features import VoiceFeatures
from affectd.voice.level_activity import LevelActivity
from affectd.voice.reader import VoiceReader
from affectd_convert.datasets.labelled import FOLDS, SPEECH_SPLITS, Clips, Faces, read_fold, read_labelled_faces
from affectd_convert.errors import DataError
from affectd_convert.evaluation.robustness import faces as pictures
from affectd_convert.evaluation.robustness import voices as sounds

SEED = 0
CLEAR = "clear"
FACE_SIDE = 96
"""Pixels to which the 48 of FER2013 are enlarged: a face near enough for its size not to matter."""
MASK_TOP = 28
"""Row of a 48-pixel face from which a mask covers it: below the nose's bridge."""
FACE_CONDITIONS = ("blurred", "dim", "mouth covered")
VOICE_CONDITIONS = {"in babble": "babble, 5 dB SNR", "beside a fan": "fan, 5 dB SNR"}
"""What `robustness.voices` calls them."""

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """What one modality reads of its samples in one condition."""

    probabilities: NDArray[np.float64]
    """(n, LABELS or VOICE_LABELS), calibrated; uniform where nothing was read."""
    quality: NDArray[np.float64]
    """(n,); 0 where nothing was read."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """One modality's samples and how they are read."""

    truth: NDArray[np.int64]
    """(n,) numbers of LABELS; `calm` counts as neutral."""
    group: NDArray[np.int64]
    """(n,) whom to keep together when weights are fitted: the fold of a voice; 0 for faces."""
    by_condition: dict[str, Readings]
    """CLEAR first."""
    model: Model
    """The bundle's own: what the daemon would fuse with."""
    skipped: tuple[str, ...] = ()


def read_faces(bundle: Path, kind: str, data: Path, *, split: str | None, runtime: str, report: Report) -> Samples:
    """Read the faces of `split` clear, blurred, dim and with the mouth covered. Raises ModelError, DataError."""
    model = _opened(bundle, "face", kind, runtime)
    faces = read_labelled_faces(data, split)
    by_condition = {CLEAR: _faces_read(model, faces, lambda crop, _: crop)}
    known = pictures.conditions()
    worse = (known["blur, sigma 2 px"], known["low light, 10%, sensor noise"], _masked)
    for name, condition in zip(FACE_CONDITIONS, worse, strict=True):
        by_condition[name] = _faces_read(model, faces, condition)
        report(f"{len(faces.truth)} faces read {name}")
    return Samples(faces.truth, np.zeros(len(faces.truth), np.int64), by_condition, model, faces.skipped)


def read_voices(bundle: Path, kind: str, data: Path, *, runtime: str, report: Report) -> Samples:
    """Read the clips of every fold in the bundle by the model that never heard the actor; `calm` is kept.

    Raises ModelError, and DataError when the bundle has no folds or there is no clip.
    """
    whole = _opened(bundle, "voice", kind, runtime)
    names = [name for name in SPEECH_SPLITS if (bundle / FOLDS / name).is_dir()]
    if not names:
        raise DataError(f"{bundle / FOLDS}: not there; the bundle was made without models that never heard some actors")
    truth: list[NDArray[np.int64]] = []
    read: dict[str, list[Readings]] = {}
    skipped: tuple[str, ...] = ()
    for name in names:
        model = _opened(bundle / FOLDS / name, "voice", kind, runtime)
        features = VoiceFeatures.from_manifest(model.bundle.features)
        clips = read_fold(data, name, model.labels)
        # What cannot be read is told of in every fold.
        skipped = tuple(dict.fromkeys((*skipped, *clips.skipped)))
        truth.append(np.array([_shared(label) for label in model.labels])[clips.truth])
        for condition in (CLEAR, *VOICE_CONDITIONS):
            read.setdefault(condition, []).append(_voices_read(model, features, clips, condition))
        report(f"{len(clips.truth)} clips of {name} read clear, {' and '.join(VOICE_CONDITIONS)}")
    group = np.repeat(np.arange(len(truth)), [len(part) for part in truth])
    by_condition = {name: _joined(parts) for name, parts in read.items()}
    return Samples(np.concatenate(truth), group, by_condition, whole, skipped)


def _shared(label: str) -> int:
    """Return the number of a voice's label among LABELS; `calm` counts as neutral."""
    return min(VOICE_LABELS.index(label), LABELS.index("neutral"))


def _opened(folder: Path, task: str, kind: str, runtime: str) -> Model:
    bundle = Bundle.load(folder)
    if bundle.task != task:
        raise DataError(f"{folder}: is a {bundle.task} model; --{task} needs one for the {task}")
    return open_model(bundle, kind, runtime=runtime)


def _faces_read(model: Model, faces: Faces, condition: pictures.Condition) -> Readings:
    preprocessing = FacePreprocessing.from_manifest(model.bundle.preprocessing)
    rng = np.random.default_rng(SEED)
    probabilities, quality = [], []
    for pixels in faces.pixels:
        worse = condition(pixels, rng)
        crop = np.asarray(cv2.resize(worse, (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)
        quality.append(face_quality(crop))
        probabilities.append(model.probabilities(preprocessing.prepare_still(crop)[np.newaxis]))
    return Readings(np.array(probabilities), np.array(quality))


def _masked(crop: GrayImage, rng: np.random.Generator) -> GrayImage:
    """Cover the lower part of a 48-pixel face with plain cloth of some brightness, lit from above."""
    rows = np.arange(crop.shape[0])[:, np.newaxis]
    cloth = rng.uniform(60, 220) * (1.0 - 0.2 * (rows - MASK_TOP) / crop.shape[0]) + rng.normal(0, 2, crop.shape)
    cover = cv2.GaussianBlur(np.broadcast_to(rows >= MASK_TOP, crop.shape).astype(np.float64), (0, 0), 0.6)
    return np.asarray(np.clip(crop * (1 - cover) + cloth * cover, 0, 255), np.uint8)


def _voices_read(model: Model, features: VoiceFeatures, clips: Clips, condition: str) -> Readings:
    """Read each clip by the daemon's reader, hop by hop; its best reading counts."""
    rng = np.random.default_rng(SEED)
    heard = (_worsened(clips, row, condition, rng) for row in range(len(clips.truth)))
    return _joined([_best_reading(model, features, samples) for samples in heard])


def _worsened(clips: Clips, row: int, condition: str, rng: np.random.Generator) -> NDArray[np.int16]:
    samples, speaker = clips.samples[row], clips.speakers[row]
    if condition == CLEAR:
        return samples
    others = [other for other, name in zip(clips.samples, clips.speakers, strict=True) if name != speaker]
    around = sounds.Surroundings(SAMPLE_RATE, others or [samples])
    return sounds.worsened(samples, sounds.conditions()[VOICE_CONDITIONS[condition]], around, rng)


def _best_reading(model: Model, features: VoiceFeatures, samples: NDArray[np.int16]) -> Readings:
    # By level and voicing on every machine: the figures are not to depend on what is installed.
    reader = VoiceReader(model, features, LevelActivity(), input_shape=model.bundle.input_shape, min_snr_db=6.0)
    readings = reader.feed(AudioChunk(samples, SAMPLE_RATE, len(samples) / SAMPLE_RATE))
    spoken = [reading for reading in readings if reading.active and reading.probabilities is not None]
    if not spoken:
        return Readings(np.full((1, len(VOICE_LABELS)), 1 / len(VOICE_LABELS)), np.zeros(1))
    best = max(spoken, key=lambda reading: reading.quality)
    return Readings(np.array([best.probabilities]), np.array([best.quality]))


def _joined(parts: list[Readings]) -> Readings:
    return Readings(
        np.concatenate([part.probabilities for part in parts]), np.concatenate([part.quality for part in parts])
    )

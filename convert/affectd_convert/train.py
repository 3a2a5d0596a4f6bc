"""Train the two reference networks: what `affectd-convert train` runs."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from affectd.events import LABELS, VOICE_LABELS
from affectd.face.preprocess import FacePreprocessing
from affectd.voice.features import VoiceFeatures
from affectd_convert.architectures import cnn_lstm, vgg16
from affectd_convert.datasets import fer2013, speech
from affectd_convert.errors import DataError, TrainingError
from affectd_convert.run_data import read_config
from affectd_convert.training import face_batches, voice_batches
from affectd_convert.training.loop import Job, Plan, Stage, train

FACE_PLAN = Plan(
    stages=(Stage(epochs=6, size=24), Stage(epochs=4, size=32), Stage(epochs=3, size=40), Stage(epochs=4, size=48))
)
"""Growing images (Touvron et al. 2019, Tan & Le 2021): most epochs at a quarter of the cost."""
VOICE_PLAN = Plan(
    stages=(Stage(epochs=32),), optimizer="adamw", peak_rate=2e-3, warmup=0.1, weight_decay=1e-2, precision="float32"
)


def train_face(
    data: Path, run: Path, *, plan: Plan = FACE_PLAN, augmentation: float = 1.0, begin_with: Path | None = None
) -> Path:
    """Train VGG16 on FER2013's Training split, validated on PublicTest; give the finished model.keras.

    `augmentation` scales how far faces are moved away from their originals. `begin_with` is the folder of
    a finished run whose weights this one begins with.
    """
    faces = fer2013.read_fer2013(data)
    training, validation = faces.split(fer2013.TRAINING), faces.split(fer2013.PUBLIC_TEST)
    if not len(training.label) or not len(validation.label):
        raise DataError(f"{data}: needs both a Training and a PublicTest split")
    preprocessing = FacePreprocessing()
    how = face_batches.FaceAugmentation().scaled(augmentation)
    job = Job(
        run=run,
        plan=plan,
        describe={
            "task": "face",
            "architecture": "vgg16",
            "labels": list(LABELS),
            "preprocessing": preprocessing.to_manifest(),
            "augmentation": asdict(how),
            "begins_with": None if begin_with is None else read_config(begin_with),
            "data": {
                "training": f"FER2013 Training, {len(training.label)} faces",
                "validation": f"FER2013 PublicTest, {len(validation.label)} faces",
                "left_out": list(faces.skipped),
            },
        },
        build=lambda: _begin(vgg16.build(len(LABELS), size=None), begin_with),
        batches=lambda stage, epoch: face_batches.FaceBatches(
            faces=training,
            preprocessing=preprocessing,
            augmentation=how,
            batch_size=plan.batch_size,
            size=stage.size,
            seed=plan.seed,
            epoch=epoch,
        ),
        validation=lambda stage: face_batches.prepared(validation, replace(preprocessing, size=stage.size)),
        originals=lambda: face_batches.originals(training, replace(preprocessing, size=plan.stages[-1].size)),
    )
    return train(job)


def _begin(model: Any, begin_with: Path | None) -> Any:
    """Give `model` the weights of a finished run's model, if there is one to begin with."""
    if begin_with is not None:
        try:
            model.load_weights(begin_with / "model.keras")
        except (OSError, ValueError) as error:
            raise TrainingError(f"{begin_with}/model.keras: does not fit this network: {error}") from error
    return model


def train_voice(data: Path, run: Path, *, fold: int | None = 3, plan: Plan = VOICE_PLAN) -> Path:
    """Train CNN-LSTM on all corpora found, speakers disjoint; give the finished model.keras.

    The actors of RAVDESS fold `fold` (0..4) are never trained on: validation is theirs. With None,
    every speaker is trained on and the figures say nothing about new ones.
    """
    clips = speech.read_speech(data)
    held = [clip for clip in clips if speech.fold_of(clip) == fold] if fold is not None else clips
    training = [clip for clip in clips if fold is None or speech.fold_of(clip) != fold]
    if not held or not training:
        raise DataError(f"{data}: RAVDESS fold {fold} is not here; speakers cannot be kept apart")
    sounds = voice_batches.load(training)
    features = voice_batches.fit_normalization(VoiceFeatures(), sounds)
    augmentation = voice_batches.VoiceAugmentation()
    validation = voice_batches.centred_windows(voice_batches.load(held), features)
    job = Job(
        run=run,
        plan=plan,
        describe={
            "task": "voice",
            "architecture": "cnn-lstm",
            "labels": list(VOICE_LABELS),
            "features": features.to_manifest(),
            "augmentation": asdict(augmentation),
            "data": {
                "training": [f"{len(sounds)} clips of {len({clip.speaker for clip in training})} speakers"],
                "validation": f"RAVDESS fold {fold}, actors {sorted({clip.speaker for clip in held})}",
                "fold": fold,
            },
        },
        build=lambda: cnn_lstm.build(len(VOICE_LABELS), frames=features.window_frames, columns=features.columns),
        batches=lambda _stage, epoch: voice_batches.VoiceBatches(
            sounds=sounds,
            features=features,
            augmentation=augmentation,
            batch_size=plan.batch_size,
            seed=plan.seed,
            epoch=epoch,
        ),
        validation=lambda _stage: validation,
    )
    return train(job)

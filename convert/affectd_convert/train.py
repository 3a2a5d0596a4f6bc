"""Train the two reference networks: what `affectd-convert train` runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
from affectd_convert.shipped_weights import is_bundle, record_of, restore
from affectd_convert.slimming import slim_down
from affectd_convert.training import engine, face_batches, voice_batches
from affectd_convert.training.loop import Job, train
from affectd_convert.training.plan import Plan, Stage
from affectd_convert.training.renditions import render
from affectd_convert.training.run_folder import differences
from affectd_convert.training.sound_augment import SoundAugmentation

FACE_PLAN = Plan(
    stages=(Stage(epochs=12, size=24), Stage(epochs=12, size=32), Stage(epochs=30, size=40), Stage(epochs=10, size=48)),
    batch_size=128,
    warmup=0.05,
)
"""Growing images (Touvron et al. 2019, Tan & Le 2021): no epoch but the last ones at the full cost."""
VOICE_PLAN = Plan(
    stages=(Stage(epochs=250),), optimizer="adamw", peak_rate=2e-3, warmup=0.1, weight_decay=1e-2, precision="float32"
)
RENDITIONS = 8
"""Of every clip: as recorded, and augmented."""
FITTED = ("mean", "std")
"""Of a voice's features: what the training clips say, not the command."""
_VALIDATED_ON: dict[int | str | None, str] = {None: "heard in training", speech.LEAKING: "leaking validation"}
"""What stands for 'validation' where people are trained on that the model is then shown."""


def train_face(
    data: Path,
    run: Path,
    *,
    plan: Plan = FACE_PLAN,
    augmentation: float = 1.0,
    mixup: float = 0.0,
    begin_with: Path | None = None,
    slim: bool = False,
    taught: bool = False,
) -> Path:
    """Train VGG16 on FER2013's Training split, validated on PublicTest; give the finished model.keras.

    `augmentation` scales how far faces are moved away from their originals, `mixup` is its alpha. `begin_with`
    is the folder of a finished run, or of a bundle, whose weights this one begins with; a `slim` network begins
    with those of its most important channels. `taught`: that trained network's answers are learnt besides the
    labels (Hinton et al. 2015; by a network of the same size, Furlanello et al. 2018).
    """
    if (slim or taught) and begin_with is None:
        raise TrainingError("--slim and --taught need a trained network: name its run or bundle with --begin-with")
    _refuse_itself(run, begin_with)
    faces = fer2013.read_fer2013(data)
    training, validation = _training_and_validation(faces, data)
    preprocessing, how = FacePreprocessing(), _face_augmentation(augmentation, mixup)

    def wide() -> Any:
        if begin_with is None or not is_bundle(begin_with):
            return _with_weights(_face_network(), begin_with)
        return restore(_face_network(), begin_with, next(face_batches.originals(training, preprocessing)))

    return train(
        Job(
            run=run,
            plan=plan,
            describe=_describe_faces(faces, data, how, begin_with, slim=slim, taught=taught),
            build=(lambda: slim_down(wide(), _face_network(vgg16.SLIM))) if slim else wide,
            batches=lambda stage, epoch: face_batches.FaceBatches(
                faces=training,
                preprocessing=preprocessing,
                augmentation=how,
                batch_size=plan.batch_size,
                size=stage.size,
                seed=plan.seed,
                epoch=epoch,
                progress=epoch / max(plan.epochs - 1, 1),
            ),
            validation=face_batches.PreparedFaces.of(validation, preprocessing),
            before=None if begin_with is None else record_of(begin_with),
            teacher=engine.start(plan.engine, wide, plan, None).logits if taught else None,
            originals=lambda: face_batches.originals(training, preprocessing),
        )
    )


def face_config(
    data: Path,
    *,
    plan: Plan = FACE_PLAN,
    augmentation: float = 1.0,
    mixup: float = 0.0,
    begin_with: Path | None = None,
    slim: bool = False,
    taught: bool = False,
) -> dict[str, Any]:
    """Give what config.json says of a run of `train_face` with the same arguments. Raises DataError."""
    faces, how = fer2013.read_fer2013(data), _face_augmentation(augmentation, mixup)
    return {"plan": asdict(plan), **_describe_faces(faces, data, how, begin_with, slim=slim, taught=taught)}


def _face_augmentation(strength: float, mixup: float) -> face_batches.FaceAugmentation:
    return replace(face_batches.FaceAugmentation().scaled(strength), mixup=mixup)


def _training_and_validation(faces: fer2013.FaceSet, data: Path) -> tuple[fer2013.FaceSet, fer2013.FaceSet]:
    training, validation = faces.split(fer2013.TRAINING), faces.split(fer2013.PUBLIC_TEST)
    if not len(training.label) or not len(validation.label):
        raise DataError(f"{data}: needs both a Training and a PublicTest split")
    return training, validation


def _describe_faces(
    faces: fer2013.FaceSet,
    data: Path,
    how: face_batches.FaceAugmentation,
    begin_with: Path | None,
    *,
    slim: bool,
    taught: bool,
) -> dict[str, Any]:
    training, validation = _training_and_validation(faces, data)
    return {
        "task": "face",
        "architecture": "vgg16-slim" if slim else "vgg16",
        "labels": list(LABELS),
        "preprocessing": FacePreprocessing().to_manifest(),
        "augmentation": asdict(how),
        "begins_with": None if begin_with is None else read_config(record_of(begin_with)),
        "taught": taught,
        "data": {
            "training": f"FER2013 Training, {len(training.label)} faces",
            "validation": f"FER2013 PublicTest, {len(validation.label)} faces",
            "left_out": list(faces.skipped),
        },
    }


def _face_network(widths: vgg16.Widths = vgg16.FULL) -> Any:
    return vgg16.build(len(LABELS), size=None, widths=widths)


def _with_weights(model: Any, begin_with: Path | None) -> Any:
    """Give `model` the weights of the finished run `begin_with` if there is one."""
    if begin_with is not None:
        try:
            model.load_weights(begin_with / "model.keras")
        except (OSError, ValueError) as error:
            raise TrainingError(f"{begin_with}/model.keras: does not fit this network: {error}") from error
    return model


def train_voice(
    data: Path, run: Path, *, fold: int | str | None = None, plan: Plan = VOICE_PLAN, begin_with: Path | None = None
) -> Path:
    """Train CNN-LSTM on all corpora found, speakers disjoint; give the finished model.keras.

    `fold` says who is held out for validation: `speech.split`. With None everybody is trained on; the figures
    then say only that it learnt, nothing about new speakers. `begin_with` is the folder of a finished run with
    the same fold, whose weights this one begins with. The clips' renditions are kept beside the run, in
    `speech-cache`, for the runs of other folds.
    """
    _refuse_itself(run, begin_with)
    clips = speech.read_speech(data)
    speech.require_every_label(clips, data)
    described = _describe_voices(clips, fold, begin_with)
    to_train_on, held = speech.split(clips, fold)
    rendered = render(clips, VoiceFeatures(), SoundAugmentation(), count=RENDITIONS, cache=run.parent / "speech-cache")
    trained_on = set(to_train_on)
    training = [one for one in rendered if one.clip in trained_on]
    features = voice_batches.fit_normalization(VoiceFeatures(), training)
    return train(
        Job(
            run=run,
            plan=plan,
            describe={**described, "features": features.to_manifest()},
            build=lambda: _with_weights(
                cnn_lstm.build(len(VOICE_LABELS), frames=features.window_frames, columns=features.columns), begin_with
            ),
            batches=lambda _stage, epoch: voice_batches.VoiceBatches(
                training=training,
                features=features,
                augmentation=voice_batches.WindowAugmentation(),
                batch_size=plan.batch_size,
                seed=plan.seed,
                epoch=epoch,
            ),
            validation=voice_batches.WholeClips.of(held, features),
            validated_on=_VALIDATED_ON.get(fold, "validation"),
            before=begin_with,
        )
    )


def voice_config(
    data: Path, *, fold: int | str | None = None, plan: Plan = VOICE_PLAN, begin_with: Path | None = None
) -> dict[str, Any]:
    """Give what config.json says of a run of `train_voice` with the same arguments. Raises DataError, TrainingError.

    The normalization is left out of its features: it is fitted on the clips' renditions, which take long to make.
    """
    return {"plan": asdict(plan), **_describe_voices(speech.read_speech(data), fold, begin_with)}


def _describe_voices(
    clips: Sequence[speech.Utterance], fold: int | str | None, begin_with: Path | None
) -> dict[str, Any]:
    before = None if begin_with is None else read_config(begin_with)
    if before is not None and before["data"]["fold"] != fold:
        raise TrainingError(f"{begin_with}: held out fold {before['data']['fold']}; this run would hold out {fold}")
    training, held = speech.split(clips, fold)
    sound, window = asdict(SoundAugmentation()), asdict(voice_batches.WindowAugmentation())
    return {
        "task": "voice",
        "architecture": "cnn-lstm",
        "labels": list(VOICE_LABELS),
        "features": {k: v for k, v in VoiceFeatures().to_manifest().items() if k not in FITTED},
        "begins_with": before,
        "augmentation": {"renditions": RENDITIONS, "sound": sound, "window": window},
        "data": {
            "training": [f"{len(training)} clips of {len({clip.speaker for clip in training})} speakers"],
            "validation": speech.describe_held(held, fold),
            "fold": fold,
        },
    }


def is_run_of(run: Path, asked: Mapping[str, Any]) -> bool:
    """Say whether `run` is the run that `face_config` or `voice_config` describes. Raises DataError if it is none."""
    there = read_config(run)
    if "features" in there:
        there["features"] = {k: v for k, v in there["features"].items() if k not in FITTED}
    # As config.json has it: without tuples.
    return not differences(there, json.loads(json.dumps(asked)))


def _refuse_itself(run: Path, begin_with: Path | None) -> None:
    if begin_with is not None and run.resolve() == begin_with.resolve():
        raise TrainingError(f"{run}: cannot begin with itself; give the new run another folder")

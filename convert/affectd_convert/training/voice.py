"""Train a voice network on RAVDESS and the corpora beside it: what `affectd-convert train voice` runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from affectd.events import VOICE_LABELS
from affectd.voice.features import MfccFeatures
from affectd_convert.architectures.catalogue import VOICE
from affectd_convert.architectures.from_tflite import FUSED, restore
from affectd_convert.datasets import speech
from affectd_convert.errors import TrainingError
from affectd_convert.training import voice_batches
from affectd_convert.training.initial_weights import is_bundle, record_of, refuse_itself, with_weights
from affectd_convert.training.loop import Job, train
from affectd_convert.training.plan import Plan, Stage
from affectd_convert.training.renditions import render
from affectd_convert.training.run_config import DataUsed, RunConfig, read_record
from affectd_convert.training.sound_augment import SoundAugmentation

PLAN = Plan(
    stages=(Stage(epochs=250),), optimizer="adamw", peak_rate=2e-3, warmup=0.1, weight_decay=1e-2, precision="float32"
)
RENDITIONS = 8
"""Of every clip: as recorded, and augmented."""
TYPICAL = 4
"""Batches from which the statistics of a bundle's network are taken anew."""
_VALIDATED_ON: dict[int | str | None, str] = {None: "heard in training", speech.LEAKING: "leaking validation"}
"""What stands for 'validation' where people are trained on that the model is then shown."""


@dataclass(frozen=True, slots=True)
class VoiceRecipe:
    """How a voice network is trained, beside the data."""

    plan: Plan = PLAN
    architecture: str = "cnn-lstm"
    """Its name in the catalogue."""
    fold: int | str | None = None
    """Who is held out for validation: `speech.split`. With None everybody is trained on; the figures then show only
    that it learnt, nothing about new speakers."""
    begin_with: Path | None = None
    """Folder of a finished run with the same fold, or of its bundle, whose weights this one begins with."""
    command: str = ""
    """As it was typed, for the record."""


def train_voice(data: Path, run: Path, recipe: VoiceRecipe) -> Path:
    """Train a network on all corpora found, speakers disjoint; return the finished model.keras.

    The clips' renditions are kept beside the run, in `speech-cache`, for the runs of other folds.
    Raises DataError or TrainingError: no such data, another run in the folder, nothing to begin with, a full disk.
    """
    refuse_itself(run, recipe.begin_with)
    clips = speech.read_speech(data)
    speech.require_every_label(clips, data, recipe.fold)
    config = _config(clips, recipe)
    to_train_on, held = speech.split(clips, recipe.fold)
    if len({clip.speaker for clip in to_train_on}) == 1:
        print(f"{data}: all clips are of one speaker: what the network learns holds for that voice")
    rendered = render(clips, MfccFeatures(), SoundAugmentation(), count=RENDITIONS, cache=run.parent / "speech-cache")
    trained_on = set(to_train_on)
    training = [one for one in rendered if one.clip in trained_on]
    features = voice_batches.fit_normalization(MfccFeatures(), training)

    def batches(epoch: int) -> voice_batches.VoiceBatches:
        return voice_batches.VoiceBatches(
            training=training,
            features=features,
            augmentation=voice_batches.WindowAugmentation(),
            batch_size=recipe.plan.batch_size,
            seed=recipe.plan.seed,
            epoch=epoch,
        )

    def network() -> Any:
        model = VOICE[recipe.architecture].build(
            len(VOICE_LABELS), frames=features.window_frames, columns=features.columns
        )
        if recipe.begin_with is None or not is_bundle(recipe.begin_with):
            return with_weights(model, recipe.begin_with)
        first = batches(0)
        # Where there is less than one batch, the training refuses it itself.
        typical = np.concatenate([first[index].inputs for index in range(max(min(TYPICAL, len(first)), 1))])
        return restore(model, recipe.begin_with, typical, FUSED)

    return train(
        Job(
            run=run,
            config=replace(config, inputs=features),
            build=network,
            batches=lambda _stage, epoch: batches(epoch),
            validation=voice_batches.WholeClips.of(held, features),
            validated_on=_VALIDATED_ON.get(recipe.fold, "validation"),
        )
    )


def voice_config(data: Path, recipe: VoiceRecipe) -> RunConfig:
    """Return the configuration of a run of `train_voice` with the same arguments. Raises DataError, TrainingError.

    The normalization of its features is not fitted: that needs the clips' renditions, which take long to make.
    """
    return _config(speech.read_speech(data), recipe)


def _record_before(begin_with: Path, recipe: VoiceRecipe) -> dict[str, Any]:
    """Return the record of the run, or bundle, to begin with. Raises DataError, TrainingError when it does not fit."""
    record = read_record(record_of(begin_with))
    if (there := record.get("architecture")) != recipe.architecture:
        how = f"with --architecture {there} it is trained on" if there in VOICE else "it is for no voice"
        raise TrainingError(f"{begin_with}: is {there}; {how}")
    if (held_out := record["data"]["fold"]) != recipe.fold:
        raise TrainingError(f"{begin_with}: held out fold {held_out}; this run would hold out {recipe.fold}")
    return record


def _config(clips: Sequence[speech.Utterance], recipe: VoiceRecipe) -> RunConfig:
    before = None if recipe.begin_with is None else _record_before(recipe.begin_with, recipe)
    training, held = speech.split(clips, recipe.fold)
    sound, window = asdict(SoundAugmentation()), asdict(voice_batches.WindowAugmentation())
    return RunConfig(
        plan=recipe.plan,
        task="voice",
        architecture=recipe.architecture,
        labels=VOICE_LABELS,
        inputs=MfccFeatures(),
        augmentation={"renditions": RENDITIONS, "sound": sound, "window": window},
        data=DataUsed(
            training=speech.describe_heard(training),
            validation=speech.describe_held(held, recipe.fold),
            fold=recipe.fold,
        ),
        begins_with=before,
        command=recipe.command,
    )

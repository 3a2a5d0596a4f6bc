"""From a run of a reference network to its bundle: what the bundle says of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from affectd.events import LABELS, VOICE_LABELS
from affectd.inference.bundle import Bundle
from affectd_convert.bundle import Description, Split, write_bundle
from affectd_convert.datasets import fer2013, speech
from affectd_convert.errors import ConversionError
from affectd_convert.quantize import quantize
from affectd_convert.run_data import read_config, read_run_data
from affectd_convert.training.face_batches import FaceAugmentation

SHIPPED = ("int8", "float16")
"""Variants of a bundle unless others are asked for; float32 is the size of all others together."""
_NAMES = {"face": "face-vgg16", "voice": "voice-cnn-lstm"}
_NOTES = {
    "face": "The labels of FER2013 are noisy: they agree with the majority of its ten re-labelling taggers (FER+) on "
    "about two faces of three. Training faces that are practically a PublicTest photo were left out. The "
    "temperature was fitted on the split below, so its ECE flatters; PrivateTest was not looked at.",
    "voice": "Speakers are disjoint: nobody in the split below was trained on. RAVDESS has two sentences only, spoken "
    "by actors; expect less of spontaneous speech. Each clip counts by its middle three seconds. The temperature "
    "was fitted on the split below, so its ECE flatters.",
}


def make_bundle(
    run: Path, data: Path, folder: Path, *, version: str, maturity: str, kinds: Sequence[str] = SHIPPED
) -> Bundle:
    """Quantize a finished run, prove the variants on its validation split, and write the bundle.

    Raises DataError, ConversionError or ModelError saying what does not fit.
    """
    config = read_config(run)
    model = run / "model.keras"
    if not model.exists():
        raise ConversionError(f"{model}: not there; the run is not finished, start it again to go on")
    run_data = read_run_data(run, data)
    variants = quantize(model, run_data.representative, run / "tflite", tuple(kinds))
    return write_bundle(
        folder,
        _describe(config, data, version, maturity),
        run=run,
        variants=variants,
        held_out=Split(run_data.split, run_data.inputs, run_data.labels),
    )


def _describe(config: dict[str, Any], data: Path, version: str, maturity: str) -> Description:
    task: str = config["task"]
    face = task == "face"
    name = _NAMES[task]
    corpora = f"~/data/{'fer2013.npz' if face else 'speech'}"
    return Description(
        name=name,
        version=version,
        task=task,
        architecture=config["architecture"],
        maturity=maturity,
        labels=LABELS if face else VOICE_LABELS,
        parameters=config["preprocessing" if face else "features"],
        training_data=_faces_used(config) if face else _voices_used(config, data),
        commands=(
            *_training_commands(config, f"runs/{name}", corpora),
            f"affectd-convert bundle --run runs/{name} --data {corpora} --out models/{name} --version {version}",
        ),
        note=_NOTES[task],
    )


def _training_commands(config: dict[str, Any], run: str, corpora: str) -> list[str]:
    """Give the commands that made a run, those of the run it began with first."""
    task, plan, before = config["task"], config["plan"], config.get("begins_with")
    command = f"affectd-convert train {task} --data {corpora} --run {run} --seed {plan['seed']}"
    if task == "face":
        stages = " ".join(f"{stage['size']}x{stage['epochs']}" for stage in plan["stages"])
        strength = config["augmentation"]["rotation_deg"] / FaceAugmentation().rotation_deg
        command += f" --stages {stages} --peak-rate {plan['peak_rate']:g} --augmentation {strength:g}"
    if before is None:
        return [command]
    first = f"{run}-begin"
    return [*_training_commands(before, first, corpora), f"{command} --begin-with {first}"]


def _faces_used(config: dict[str, Any]) -> list[dict[str, str]]:
    use = f"{config['data']['training']}; targets softened with FER+ votes where there are any"
    return [{"name": "FER2013", "licence": fer2013.LICENCE, "use": use}]


def _voices_used(config: dict[str, Any], data: Path) -> list[dict[str, str]]:
    fold = config["data"]["fold"]
    training = [clip for clip in speech.read_speech(data) if fold is None or speech.fold_of(clip) != fold]
    clips = Counter(clip.corpus for clip in training)
    speakers = {corpus: len({c.speaker for c in training if c.corpus == corpus}) for corpus in clips}
    return [
        {
            "name": corpus.title,
            "licence": corpus.licence,
            "use": f"{clips[corpus.name]} clips of {speakers[corpus.name]} speakers",
        }
        for corpus in speech.CORPORA
        if clips[corpus.name]
    ]

"""From a run of a reference network to its bundle: what the bundle says of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from affectd.events import LABELS, VOICE_LABELS
from affectd.face.preprocess import FacePreprocessing
from affectd.inference.bundle import Bundle
from affectd.inference.interpreter import Interpreter, load_runtime
from affectd_convert.bundle import FIRST_CHOICE, Description, write_bundle
from affectd_convert.calibration import Calibration
from affectd_convert.cross_validation import cross_validate
from affectd_convert.datasets import fer2013, speech
from affectd_convert.errors import DataError
from affectd_convert.held_out import FOLDS, Faces
from affectd_convert.parent import parent_of
from affectd_convert.quantize import quantize
from affectd_convert.robustness.table import Robustness, face_rows
from affectd_convert.run_data import read_config, read_run_data
from affectd_convert.training.face_batches import FaceAugmentation

SHIPPED = ("int8", "float16")
"""Variants of a bundle unless others are asked for; float32 is the size of all others together."""
_FOLD_MATURITY = "one fold of the cross-validation; not for use"
_NAMES = {"vgg16": "face-vgg16", "vgg16-slim": "face-vgg16-slim", "cnn-lstm": "voice-cnn-lstm"}
_NOTES = {
    "face": "The labels of FER2013 are noisy: they agree with the majority of its ten re-labelling taggers (FER+) on "
    "about two faces of three. Training faces that are practically a PublicTest photo were left out. PublicTest was "
    "looked at after every epoch, as a validation split; PrivateTest was not looked at.",
    "voice": "RAVDESS has two sentences only, spoken by actors; expect less of spontaneous speech. How the network and "
    "its training were chosen was decided on folds 1, 2 and 3, which flatters those a little. Each clip is answered as "
    "the daemon hears it: windows of three seconds, one every half second, where somebody speaks.",
}


def make_bundle(
    run: Path,
    data: Path,
    folder: Path,
    *,
    version: str,
    maturity: str,
    kinds: Sequence[str] = SHIPPED,
    folds: Sequence[Path] = (),
    leaking: Path | None = None,
    calibration: Calibration | None = None,
) -> Bundle:
    """Quantize a finished run, prove the variants on its validation split, and write the bundle.

    `folds` are finished voice runs that each left one RAVDESS fold out: where the run itself was trained on
    everybody, the figures are theirs, each clip answered by the run that never heard its speaker; each becomes a
    small bundle in `folder`/folds, so that its figure can be measured again. `leaking` is a run of the leaking
    split, whose figure stands beside theirs. `calibration` brings a temperature fitted on other data.
    Raises DataError, ConversionError or ModelError saying what does not fit.
    """
    config = read_config(run)
    if config["task"] == "voice" and config["data"]["fold"] is None and not folds:
        raise DataError(f"{run}: trained on every speaker; give --folds, runs that left some out, for its figures")
    run_data = read_run_data(run, data)
    first, *others = sorted(kinds, key=FIRST_CHOICE.index)
    variants = quantize(parent_of(run), run_data.representative, run / "tflite", (first, *others))
    description = _describe(config, data, version, maturity, folds, leaking)
    if folds:
        proof = cross_validate(folds, data, tuple(variants), leaking=leaking)
        evaluation = f"affectd-convert evaluate --model models/{folder.name} --data ~/data/speech --split"
        bundle = write_bundle(
            folder,
            replace(description, protocol=proof.table()),
            run=run,
            variants=variants,
            held_out=run_data.held_out,
            scored=replace(proof.scored, command=f"{evaluation} fold0  # and so on: each fold by its own run"),
            robustness=proof.robustness,
        )
        for number, fold in enumerate(folds):
            make_bundle(
                fold,
                data,
                folder / FOLDS / f"fold{read_config(fold)['data']['fold']}",
                version=version,
                maturity=_FOLD_MATURITY,
                kinds=(first,),
                calibration=proof.calibration_of(number),
            )
        return bundle
    evaluation = f"affectd-convert evaluate --model models/{folder.name} --data ~/data/fer2013.npz --split public"
    face = config["task"] == "face"
    return write_bundle(
        folder,
        description,
        run=run,
        variants=variants,
        held_out=replace(run_data.held_out, command=evaluation if face else ""),
        calibration=calibration,
        robustness=_face_robustness(config, variants, data, evaluation) if face else None,
    )


def _face_robustness(config: dict[str, Any], variants: Mapping[str, Path], data: Path, command: str) -> Robustness:
    """Score the first variant on PublicTest in adverse conditions."""
    kind, file = next(iter(variants.items()))
    public = fer2013.read_fer2013(data).split(fer2013.PUBLIC_TEST)
    rows = face_rows(
        Interpreter(file, load_runtime("auto")).run,
        FacePreprocessing.from_manifest(config["preprocessing"]),
        Faces(public.pixels, public.label),
    )
    return Robustness("FER2013 PublicTest", len(public.label), kind, rows, f"{command} --robustness")


def _describe(  # noqa: PLR0917
    config: dict[str, Any], data: Path, version: str, maturity: str, folds: Sequence[Path], leaking: Path | None
) -> Description:
    task: str = config["task"]
    face = task == "face"
    name = _NAMES[config["architecture"]]
    corpora = f"~/data/{'fer2013.npz' if face else 'speech'}"
    runs = [f"runs/{name}-fold{read_config(fold)['data']['fold']}" for fold in folds]
    configs = {run: read_config(fold) for run, fold in zip(runs, folds, strict=True)}
    if leaking is not None:
        configs[f"runs/{name}-leaking"] = read_config(leaking)
    configs[f"runs/{name}"] = config
    trained = [line for run, one in configs.items() for line in _commands(one, run, corpora)]
    bundle = f"affectd-convert bundle --run runs/{name} --data {corpora} --out models/{name} --version {version}"
    bundle += f" --folds {' '.join(runs)}" if runs else ""
    bundle += "" if leaking is None else f" --leaking runs/{name}-leaking"
    return Description(
        name=name,
        version=version,
        task=task,
        architecture=config["architecture"],
        maturity=maturity,
        labels=LABELS if face else VOICE_LABELS,
        parameters=config["preprocessing" if face else "features"],
        training_data=_faces_used(config) if face else _voices_used(config, data),
        commands=(*trained, bundle),
        note=_NOTES[task],
    )


def _commands(config: dict[str, Any], run: str, corpora: str) -> list[str]:
    """Give the commands that made a run, those of the run it began with first."""
    task, plan, before = config["task"], config["plan"], config.get("begins_with")
    command = f"affectd-convert train {task} --data {corpora} --run {run} --seed {plan['seed']}"
    if task == "face":
        stages = " ".join(f"{stage['size']}x{stage['epochs']}" for stage in plan["stages"])
        how = config["augmentation"]
        command += f" --stages {stages} --peak-rate {plan['peak_rate']:g}"
        command += f" --augmentation {how['rotation_deg'] / FaceAugmentation().rotation_deg:g}"
        command += f" --mixup {how['mixup']:g}" if how.get("mixup") else ""
        command += f" --sharpness {plan['sharpness']:g}" if plan.get("sharpness") else ""
        command += " --slim" if config["architecture"].endswith("slim") else ""
        command += " --taught" if config.get("taught") else ""
    else:
        command += f" --epochs {sum(stage['epochs'] for stage in plan['stages'])} --peak-rate {plan['peak_rate']:g}"
        command += "" if config["data"]["fold"] is None else f" --fold {config['data']['fold']}"
    if before is None:
        return [command]
    first = f"{run}-before"
    stopped = f"  # stopped after {before['stopped_after']} epochs" if "stopped_after" in before else ""
    earlier = _commands(before, first, corpora)
    return [*earlier[:-1], earlier[-1] + stopped, f"{command} --begin-with {first}"]


def _faces_used(config: dict[str, Any]) -> list[dict[str, str]]:
    use = f"{config['data']['training']}; targets softened with FER+ votes where there are any"
    return [{"name": "FER2013", "licence": fer2013.LICENCE, "use": use}]


def _voices_used(config: dict[str, Any], data: Path) -> list[dict[str, str]]:
    training, _ = speech.split(speech.read_speech(data), config["data"]["fold"])
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

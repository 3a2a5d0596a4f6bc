"""From a run of a reference network to its bundle: what the bundle says of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from affectd.events import LABELS, VOICE_LABELS
from affectd.face.preprocess import FacePreprocessing
from affectd.inference.bundle import Bundle
from affectd.inference.interpreter import Interpreter, load_runtime
from affectd_convert.bundling.description import Description
from affectd_convert.bundling.write import FIRST_CHOICE, write_bundle
from affectd_convert.conversion.bounded_process import Bounds
from affectd_convert.conversion.float_model import parent_of
from affectd_convert.conversion.quantize import quantize
from affectd_convert.conversion.variants import Trial, make_variants
from affectd_convert.datasets import fer2013, speech
from affectd_convert.datasets.labelled import FOLDS, Faces
from affectd_convert.errors import DataError
from affectd_convert.evaluation.cross_validation import CrossValidation, cross_validate
from affectd_convert.evaluation.robustness.table import Robustness, face_rows
from affectd_convert.evaluation.run_data import read_run_data
from affectd_convert.training.run_config import RunConfig, commands_of, read_config

SHIPPED = ("int8", "float16")
"""Variants of a bundle unless others are asked for; float32 is the size of all others together."""
_FOLD_MATURITY = "one fold of the cross-validation; not for use"
_NOISY = (
    "The labels of FER2013 are noisy: they agree with the majority of its ten re-labelling taggers (FER+) on about "
    "two faces of three."
)
_LOOKED_AT = "PublicTest was looked at after every epoch, as a validation split; PrivateTest was not looked at."
_STILLS = (
    "FER2013 has stills only: each sequence that it was trained on is one of them in {frames} views that drift and "
    "tremble, so that it has seen no expression come or go; here a still is shown {frames} times over."
)
_ACTED = "RAVDESS has two sentences only, spoken by actors; expect less of spontaneous speech."
_HEARD = (
    "Each clip is answered as the daemon hears it: windows of three seconds, one every half second, where somebody "
    "speaks."
)


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
    command: str = "",
    even_so: bool = False,
    bounds: Bounds | None = None,
) -> Bundle:
    """Quantize a finished run, prove the variants on its validation split, and write the bundle.

    `folds` are finished voice runs that each left one RAVDESS fold out: where the run itself was trained on
    everybody, the figures are theirs, each clip answered by the run that never heard its speaker; each becomes a
    small bundle in `folder`/folds, so that its figure can be measured again. `leaking` is a run of the leaking
    split, whose figure stands beside theirs. `command` is what was typed, for the card; `even_so` is that of
    `write_bundle`; `bounds` are those of a conversion.
    Raises DataError, ConversionError or ModelError saying what does not fit.
    """
    config = read_config(run)
    face = config.task == "face"
    if not face and config.data.fold is None and not folds:
        raise DataError(f"{run}: trained on every speaker; give --folds, runs that left some out, for its figures")
    run_data = read_run_data(run, data)
    ordered = sorted(kinds, key=FIRST_CHOICE.index)
    description = _describe(config, data, version, maturity)
    description = replace(description, commands=_made_by(run, folds, leaking, command))
    held_out, tflite = run_data.held_out, run / "tflite"
    if not folds:
        trial = Trial(held_out.inputs, held_out.truth)
        made = make_variants(parent_of(run), run_data.representative, tflite, ordered, trial, bounds=bounds)
        evaluation = (
            f"affectd-convert evaluate --model models/{folder.name} --data {_shown(config, data)} --split public"
        )
        return write_bundle(
            folder,
            description,
            run=run,
            variants=made.paths,
            held_out=replace(held_out, command=evaluation if face else ""),
            robustness=_face_robustness(config, made.paths, data, evaluation) if face else None,
            even_so=even_so,
            remarks=made.remarks,
        )
    # Every fold's model must have what the shipped one has: here nothing is left out, and nothing mended.
    variants = quantize(parent_of(run), run_data.representative, tflite, ordered, bounds=bounds)
    proof = cross_validate(folds, data, tuple(variants), leaking=leaking, bounds=bounds)
    evaluation = _fold_evaluation(folder.name, config, data, FOLDS, proof.kinds[0])
    return write_bundle(
        folder,
        replace(description, protocol=_protocol(proof, evaluation), note=_voice_note(folds)),
        run=run,
        variants=variants,
        held_out=held_out,
        report=proof.report(evaluation),
        robustness=replace(proof.robustness, command=f"{evaluation} --robustness"),
        beside=lambda draft: _write_folds(draft / FOLDS, folder.name, data, version, folds, proof, bounds),
        even_so=even_so,
    )


def _write_folds(  # noqa: PLR0917
    folder: Path,
    whole: str,
    data: Path,
    version: str,
    folds: Sequence[Path],
    proof: CrossValidation,
    bounds: Bounds | None,
) -> None:
    """Make a small bundle of each fold's run, of the variant that stands for the whole bundle only."""
    for number, run in enumerate(folds):
        config, run_data = read_config(run), read_run_data(run, data)
        split = f"fold{config.data.fold}"
        description = _describe(config, data, version, _FOLD_MATURITY)
        write_bundle(
            folder / split,
            replace(description, name=f"{description.name}-{split}", fold_of=whole),
            run=run,
            variants=quantize(parent_of(run), run_data.representative, run / "tflite", proof.kinds[:1], bounds=bounds),
            held_out=replace(run_data.held_out, command=_fold_evaluation(whole, config, data, split, proof.kinds[0])),
            calibration=proof.calibration_of(number),
        )


def _face_robustness(config: RunConfig, variants: Mapping[str, Path], data: Path, command: str) -> Robustness:
    """Score the first variant on PublicTest in adverse conditions."""
    kind, file = next(iter(variants.items()))
    public = fer2013.read_faces(data).split(fer2013.PUBLIC_TEST)
    rows = face_rows(
        Interpreter(file, load_runtime("auto")).run,
        cast("FacePreprocessing", config.inputs),
        Faces(public.pixels, public.label),
    )
    return Robustness("ready crops of FER2013 PublicTest", len(public.label), kind, rows, f"{command} --robustness")


def _describe(config: RunConfig, data: Path, version: str, maturity: str) -> Description:
    face = config.task == "face"
    return Description(
        name=f"{config.task}-{config.architecture}",
        version=version,
        task=config.task,
        architecture=config.architecture,
        maturity=maturity,
        labels=LABELS if face else VOICE_LABELS,
        parameters=config.inputs.to_manifest(),
        training_data=_faces_used(config) if face else _voices_used(config, data),
        note=_face_note(config) if face else f"{_ACTED} {_HEARD}",
    )


def _made_by(run: Path, folds: Sequence[Path], leaking: Path | None, command: str) -> list[str]:
    """Return the commands of all runs, each once, and of the bundle."""
    runs = [*folds, *([] if leaking is None else [leaking]), run]
    trained = dict.fromkeys(line for one in runs for line in commands_of(one))
    return [*trained, *([command] if command else [])]


def _shown(config: RunConfig, data: Path) -> str:
    """Return what the card calls the data, wherever it lay."""
    return f"~/data/fer2013{data.suffix}" if config.task == "face" else "~/data/speech"


def _fold_evaluation(name: str, config: RunConfig, data: Path, split: str, kind: str) -> str:
    variant = "" if kind == "int8" else f" --variant {kind}"
    return f"affectd-convert evaluate --model models/{name}{variant} --data {_shown(config, data)} --split {split}"


def _protocol(proof: CrossValidation, evaluation: str) -> str:
    return (
        f"{proof.table()}\n\n"
        f"The deviation is that of a sample of {len(proof.folds)}. The last command of this card makes the table; "
        f"{proof.kinds[0]} is measured again by\n\n"
        f"```\n{evaluation}\n```"
    )


def _face_note(config: RunConfig) -> str:
    """Explain what readers must know of a network of faces, and of the data that it saw."""
    twins = [sentence for sentence in config.data.left_out if fer2013.TWINS in sentence]
    left_out = f"{twins[0]}." if twins else "No training face was left out for being in PublicTest too."
    frames = cast("FacePreprocessing", config.inputs).frames
    stills = f" {_STILLS.format(frames=frames)}" if frames > 1 else ""
    return f"{_NOISY} {left_out} {_LOOKED_AT}{stills}"


def _voice_note(folds: Sequence[Path]) -> str:
    """Explain what readers must know of the figures that the runs of `folds` gave."""
    held_out = {read_config(run).data.fold for run in folds}
    chosen = sorted(fold for fold in speech.CHOSEN_ON if fold in held_out)
    if not chosen:
        return f"{_ACTED} {_HEARD}"
    named = f"fold{'s' if len(chosen) > 1 else ''} {', '.join(map(str, chosen))}"
    chosen_on = f"How affectd-convert trains this network was chosen on {named}, which flatters its figures a little."
    return f"{_ACTED} {chosen_on} {_HEARD}"


def _faces_used(config: RunConfig) -> list[dict[str, str]]:
    use = f"{config.data.training}; targets softened with FER+ votes where there are any"
    return [{"name": "FER2013", "licence": fer2013.LICENCE, "use": use}]


def _voices_used(config: RunConfig, data: Path) -> list[dict[str, str]]:
    """Count the clips of each corpus; `read_run_data` has made sure that they are those of the training."""
    training, _ = speech.split(speech.read_speech(data), config.data.fold)
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

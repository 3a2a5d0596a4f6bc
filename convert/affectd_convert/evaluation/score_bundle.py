"""Scores of a bundle's variant on labelled data: the model opened as the daemon opens it, the device's own code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectd.face.preprocess import FacePreprocessing
from affectd.inference.bundle import Bundle
from affectd.inference.model import Model, label_probabilities, open_model, softmax
from affectd.voice.features import VoiceFeatures
from affectd_convert.datasets.labelled import (
    FOLDS,
    SPEECH_SPLITS,
    SPLITS,
    Clips,
    read_clip_index,
    read_fold,
    read_labelled_faces,
)
from affectd_convert.errors import DataError
from affectd_convert.evaluation.calibration import FloatArray, Truth, error_by_chance
from affectd_convert.evaluation.metrics import Evaluation, evaluate
from affectd_convert.evaluation.predict import Run, form_for, logits_of_faces, logits_of_windows, shaped
from affectd_convert.evaluation.report import Predictions
from affectd_convert.evaluation.robustness.scenes import SceneRow, scene_rows
from affectd_convert.evaluation.robustness.table import Progress, Row, face_rows, mean_rows, voice_rows


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a variant scored."""

    model: str
    """Name, version and variant."""
    runtime: str
    evaluation: Evaluation
    """ECE with the bundle's own temperature; of the folds, with each fold's own."""
    predictions: Predictions
    """Those of each fold are a group; else all are one, 0."""
    temperature_of: Mapping[int, float]
    """Of each group."""
    robustness: tuple[Row, ...]
    """Empty where it was not asked for."""
    skipped: tuple[str, ...]
    """What was left out and why, a sentence each."""
    folds: Mapping[str, Evaluation] = field(default_factory=dict)
    """Of each fold, where all were asked for."""
    scenes: tuple[SceneRow, ...] = ()
    """Faces found in a room and classified; empty for a voice, and where robustness was not asked for."""

    @property
    def truth(self) -> Truth:
        """Return the label numbers (n,)."""
        return self.predictions.truth

    @property
    def ece_by_chance(self) -> list[float]:
        """Return of each group the ECE that a perfectly calibrated model has on so few samples."""
        answers = self.predictions.calibrated(self.temperature_of)
        return [error_by_chance(answers[self.predictions.groups == group]) for group in self.temperature_of]

    @property
    def curves(self) -> Mapping[str, NDArray[np.float64]]:
        """Return what the reliability diagram shows: a name, and probabilities (n, labels)."""
        temperatures = " ".join(f"{temperature:.2f}" for temperature in self.temperature_of.values())
        shipped = f"temperature{'s' if self.folds else ''} {temperatures}"
        return {
            "as trained": softmax(self.predictions.logits),
            shipped: self.predictions.calibrated(self.temperature_of),
        }


def score_bundle(
    folder: Path,
    kind: str,
    data: Path,
    *,
    split: str | None = None,
    runtime: str = "auto",
    with_robustness: bool = False,
    report: Progress = lambda _: None,
) -> Scores:
    """Score the variant `kind` of the bundle in `folder` on the labelled faces or clips at `data`.

    `split` is one of SPLITS for faces, and one of SPEECH_SPLITS or FOLDS, all of them, for speech: `data` is then the
    folder of corpora, and a fold's actors are answered by the bundle's own model of that fold. `report` is told how
    far the adverse conditions are.
    Raises ModelError when the bundle does not open, DataError when nothing can be scored.
    """
    bundle = Bundle.load(folder)
    known = SPLITS if bundle.task == "face" else (*SPEECH_SPLITS, FOLDS)
    if split is not None and split not in known:
        raise DataError(f"--split {split}: no split of data for the {bundle.task}; there are {', '.join(known)}")

    def score(one: Bundle, part: str | None) -> Scores:
        model = open_model(one, kind, runtime=runtime)
        of_task = _of_faces if one.task == "face" else _of_voices
        return of_task(model, data, part, with_robustness, report)

    if split == FOLDS:
        title = f"{bundle.name} {bundle.version} {kind}, each clip by the model that never heard its speaker,"
        return _together(title, {name: score(_of_fold(folder, name), name) for name in _folds_of(folder)})
    return score(bundle if split is None or bundle.task == "face" else _of_fold(folder, split), split)


def label_logits(model: Model) -> Run:
    """Return the model as logits (n, labels) whose softmax, at the model's temperature, is what the daemon answers."""
    outputs, labels, temperature = model.bundle.outputs, model.labels, model.temperature
    if outputs == labels:
        return model.interpreter.run

    def run(inputs: FloatArray) -> FloatArray:
        answers = label_probabilities(model.interpreter.run(inputs), outputs, labels, temperature)
        return np.asarray(temperature * np.log(np.maximum(answers, np.finfo(np.float64).tiny)), np.float32)

    return run


def _of_faces(model: Model, data: Path, split: str | None, with_robustness: bool, report: Progress) -> Scores:
    run = label_logits(model)
    preprocessing = FacePreprocessing.from_manifest(model.bundle.preprocessing)
    faces = read_labelled_faces(data, split, model.labels, form_for(preprocessing))
    logits = logits_of_faces(run, preprocessing, faces.pixels)
    rows = face_rows(run, preprocessing, faces, report=report) if with_robustness else ()
    scenes = scene_rows(run, preprocessing, faces, report=report) if with_robustness else ()
    predictions = Predictions(logits, faces.truth, np.zeros(len(logits), np.int64))
    return replace(_scores(model, predictions, rows, faces.skipped), scenes=scenes)


def _of_voices(model: Model, data: Path, split: str | None, with_robustness: bool, report: Progress) -> Scores:
    run = shaped(label_logits(model), model.bundle.input_shape)
    features = VoiceFeatures.from_manifest(model.bundle.features)
    clips = _clips(data, split, model.bundle, features)
    windows = logits_of_windows(run, features, clips.samples)
    rows = voice_rows(run, features, clips, report=report) if with_robustness else ()
    clip_of = np.repeat(np.arange(len(windows)), [len(logits) for logits in windows])
    predictions = Predictions.per_clip(np.concatenate(windows), clips.truth[clip_of], np.zeros_like(clip_of), clip_of)
    return _scores(model, predictions, rows, clips.skipped)


def _folds_of(folder: Path) -> list[str]:
    names = sorted(path.name for path in (folder / FOLDS).glob("fold*"))
    if not names:
        raise DataError(f"--split {FOLDS}: {folder / FOLDS} is not there; the bundle was made without them")
    return names


def _of_fold(folder: Path, split: str) -> Bundle:
    """Load the model that never heard the fold's actors."""
    kept = folder / FOLDS / split
    if not kept.is_dir():
        raise DataError(f"--split {split}: {kept} is not there; the model in {folder} may have heard these actors")
    return Bundle.load(kept)


def _clips(data: Path, split: str | None, bundle: Bundle, features: VoiceFeatures) -> Clips:
    if split is None:
        return read_clip_index(data, bundle.labels, features)
    return read_fold(data, split, bundle.labels)


def _scores(model: Model, predictions: Predictions, rows: tuple[Row, ...], skipped: tuple[str, ...]) -> Scores:
    return Scores(
        model.description,
        model.runtime,
        evaluate(predictions.logits, predictions.truth, model.labels, temperature=model.temperature),
        predictions,
        {0: model.temperature},
        rows,
        skipped,
    )


def _together(model: str, folds: Mapping[str, Scores]) -> Scores:
    """Make one of the folds' scores: all clips together, adverse conditions as the mean over the folds."""
    parts = list(folds.values())
    predictions = Predictions.pooled([part.predictions for part in parts])
    temperature_of = {number: part.temperature_of[0] for number, part in enumerate(parts)}
    evaluation = evaluate(predictions.logits, predictions.truth, parts[0].evaluation.labels)
    return Scores(
        model,
        parts[0].runtime,
        replace(evaluation, ece=predictions.calibration_error(temperature_of)),
        predictions,
        temperature_of,
        mean_rows([part.robustness for part in parts]),
        parts[0].skipped,
        {name: part.evaluation for name, part in folds.items()},
    )

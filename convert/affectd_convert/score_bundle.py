"""Scores of a bundle's variant on labelled data: the model opened as the daemon opens it, the device's own code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectd.face.preprocess import FacePreprocessing
from affectd.inference.bundle import Bundle
from affectd.inference.model import Model, open_model, softmax
from affectd.voice.features import VoiceFeatures
from affectd_convert.calibration import FloatArray, Truth
from affectd_convert.errors import DataError
from affectd_convert.evaluate import Evaluation, evaluate
from affectd_convert.held_out import (
    FOLDS,
    SPEECH_SPLITS,
    SPLITS,
    Clips,
    read_clip_index,
    read_fold,
    read_labelled_faces,
)
from affectd_convert.robustness.table import Report, Row, face_rows, voice_rows
from affectd_convert.scoring import logits_of_clips, logits_of_faces


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a variant scored."""

    model: str
    """Name, version and variant."""
    runtime: str
    evaluation: Evaluation
    """ECE with the bundle's own temperature."""
    logits: FloatArray
    """(n, labels)."""
    truth: Truth
    temperature: float
    robustness: tuple[Row, ...]
    """Empty where it was not asked for."""
    skipped: tuple[str, ...]
    """What was left out and why, a sentence each."""

    @property
    def curves(self) -> Mapping[str, NDArray[np.float64]]:
        """Give what the reliability diagram shows: a name, and probabilities (n, labels)."""
        shipped = f"temperature {self.temperature:.2f}"
        return {"as trained": softmax(self.logits), shipped: softmax(self.logits, self.temperature)}


def score_bundle(
    folder: Path,
    kind: str,
    data: Path,
    *,
    split: str | None = None,
    runtime: str = "auto",
    with_robustness: bool = False,
    report: Report = lambda _: None,
) -> Scores:
    """Score the variant `kind` of the bundle in `folder` on the labelled faces or clips at `data`.

    `split` is one of SPLITS for faces, and one of SPEECH_SPLITS for speech: `data` is then the folder of corpora, and
    the fold's actors are answered by the bundle's own model of that fold. `report` is told how far the adverse
    conditions are.
    Raises ModelError when the bundle does not open, DataError when nothing can be scored.
    """
    bundle = Bundle.load(folder)
    if split is not None and split not in (known := SPLITS if bundle.task == "face" else SPEECH_SPLITS):
        raise DataError(f"--split {split}: no split of data for the {bundle.task}; there are {', '.join(known)}")
    if bundle.task == "voice" and split is not None:
        bundle = _of_fold(folder, split)
    model = open_model(bundle, kind, runtime=runtime)
    run = model.interpreter.run
    if bundle.task == "face":
        faces = read_labelled_faces(data, split)
        preprocessing = FacePreprocessing.from_manifest(bundle.preprocessing)
        logits = logits_of_faces(run, preprocessing, faces.pixels)
        rows = face_rows(run, preprocessing, faces, report=report) if with_robustness else ()
        return _scores(model, logits, faces.truth, rows, faces.skipped)
    features = VoiceFeatures.from_manifest(bundle.features)
    clips = _clips(data, split, bundle, features)
    logits = logits_of_clips(run, features, clips.samples)
    rows = voice_rows(run, features, clips, report=report) if with_robustness else ()
    return _scores(model, logits, clips.truth, rows, clips.skipped)


def _of_fold(folder: Path, split: str) -> Bundle:
    """Load the model that never heard the fold's actors."""
    kept = folder / FOLDS / split
    if not kept.is_dir():
        raise DataError(f"--split {split}: {kept} is not there; the model in {folder} may have heard these actors")
    return Bundle.load(kept)


def _clips(data: Path, split: str | None, bundle: Bundle, features: VoiceFeatures) -> Clips:
    if split is None:
        return read_clip_index(data, bundle.labels, features)
    return read_fold(data, split, bundle.labels, features.sample_rate)


def _scores(model: Model, logits: FloatArray, truth: Truth, rows: tuple[Row, ...], skipped: tuple[str, ...]) -> Scores:
    return Scores(
        model.description,
        model.runtime,
        evaluate(logits, truth, model.labels, temperature=model.temperature),
        logits,
        truth,
        model.temperature,
        rows,
        skipped,
    )

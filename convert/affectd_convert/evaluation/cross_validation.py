"""Figures of a voice model trained on everybody: every clip is answered by a run that never heard its speaker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from affectd.events import VOICE_LABELS
from affectd.inference.interpreter import Interpreter, load_runtime
from affectd.resample import SAMPLE_RATE
from affectd.voice.features import VoiceFeatures
from affectd_convert.conversion.bounded_process import Bounds
from affectd_convert.conversion.float_model import parent_logits, parent_of
from affectd_convert.conversion.quantize import quantize
from affectd_convert.conversion.tflite_logits import device_logits
from affectd_convert.datasets import speech
from affectd_convert.datasets.labelled import Clips
from affectd_convert.errors import DataError
from affectd_convert.evaluation.calibration import Calibration, temperature_without
from affectd_convert.evaluation.metrics import Evaluation, evaluate
from affectd_convert.evaluation.report import Predictions, Report, measure
from affectd_convert.evaluation.robustness.table import Robustness, Row, mean_rows, voice_rows
from affectd_convert.evaluation.run_data import read_run_data
from affectd_convert.training.run_config import read_config


@dataclass(frozen=True, eq=False)
class Fold:
    """One run, answering the clips of the actors it never heard."""

    name: str
    """Who they are."""
    parent: Evaluation
    """The float network's figures."""
    predictions: dict[str, Predictions]
    """By kind of variant."""
    rows: tuple[Row, ...] = ()
    """The first variant in adverse conditions."""


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """All folds together."""

    folds: tuple[Fold, ...]
    kinds: tuple[str, ...]
    leaking: Fold | None = None
    """A run whose validation clips' speakers were trained on; it stands beside the others and counts for nothing."""

    @property
    def split(self) -> str:
        """What was scored."""
        return f"RAVDESS, {len(self.folds)} folds, each fold's actors never trained on"

    def report(self, command: str) -> Report:
        """Score every clip's prediction by the run that never heard its speaker; the calibration keeps folds together.

        `command` is what measures it again.
        """
        by_kind = {kind: self._pooled(kind) for kind in self.kinds}
        return measure(self.split, by_kind, VOICE_LABELS, command=command)

    def calibration_of(self, fold: int) -> Calibration:
        """Fit the temperature of one run on the other runs' predictions: its own clips were held out."""
        pooled = self._pooled(self.kinds[0])
        temperature = temperature_without(fold, pooled.logits, pooled.truth, pooled.groups)
        return Calibration(temperature, "the other folds")

    @property
    def robustness(self) -> Robustness:
        """Each condition's mean over the folds."""
        rows = mean_rows([fold.rows for fold in self.folds])
        samples = sum(fold.parent.samples for fold in self.folds)
        return Robustness(self.split + "; mean over folds", samples, self.kinds[0], rows)

    def table(self) -> str:
        """Return the folds' figures as a Markdown table, the mean and spread last."""
        lines = ["| held out | clips | UAR float | " + " | ".join(f"UAR {kind}" for kind in self.kinds) + " |"]
        lines.append("| --- |" + " ---: |" * (2 + len(self.kinds)))
        columns = [self._figures(fold) for fold in self.folds]
        lines += [
            _line(fold.name, str(fold.parent.samples), own) for fold, own in zip(self.folds, columns, strict=True)
        ]
        lines.append(_line("**mean**", "", np.mean(columns, axis=0)))
        lines.append(_line("**standard deviation**", "", np.std(columns, axis=0, ddof=1)))
        if self.leaking is not None:
            samples = str(self.leaking.parent.samples)
            lines.append(_line(f"*not in the mean:* {self.leaking.name}", samples, self._figures(self.leaking)))
        return "\n".join(lines)

    def _figures(self, fold: Fold) -> list[float]:
        return [fold.parent.uar, *(_score(fold.predictions[kind]).uar for kind in self.kinds)]

    def _pooled(self, kind: str) -> Predictions:
        return Predictions.pooled([fold.predictions[kind] for fold in self.folds])


def cross_validate(
    runs: Sequence[Path],
    data: Path,
    kinds: Sequence[str],
    *,
    leaking: Path | None = None,
    bounds: Bounds | None = None,
) -> CrossValidation:
    """Quantize every run to `kinds` and let it answer the clips of the actors that it never heard.

    `leaking` is a run of the leaking split, for comparison; `bounds` are those of a conversion. Raises DataError when
    a run held nobody out, two held out the same, or `leaking` does not leak; ConversionError as `quantize`.
    """
    held = [read_config(run).data.fold for run in runs]
    if not all(isinstance(fold, int) for fold in held) or len(set(held)) < len(held) or len(held) < 2:
        raise DataError(f"cross-validation needs two runs or more that each hold out another fold; given: {held}")
    if leaking is not None and read_config(leaking).data.fold != speech.LEAKING:
        raise DataError(f"{leaking}: not a run of the leaking split; train it with --fold leaking")
    return CrossValidation(
        tuple(_fold(run, data, kinds, bounds) for run in runs),
        tuple(kinds),
        None if leaking is None else _answered(leaking, data, kinds, bounds)[0],
    )


def _fold(run: Path, data: Path, kinds: Sequence[str], bounds: Bounds | None) -> Fold:
    fold, files = _answered(run, data, kinds, bounds)
    config = read_config(run)
    features = cast("VoiceFeatures", config.inputs)
    _, held = speech.split(speech.read_speech(data), config.data.fold)
    clips = Clips(
        tuple(speech.read_samples(clip.path, SAMPLE_RATE) for clip in held),
        np.array([clip.label for clip in held]),
        tuple(clip.speaker for clip in held),
    )
    first = Interpreter(files[kinds[0]], load_runtime("auto"))
    rows = voice_rows(first.run, features, clips, report=lambda row: print(f"{run.name}: {row}", flush=True))
    return replace(fold, rows=rows)


def _answered(run: Path, data: Path, kinds: Sequence[str], bounds: Bounds | None) -> tuple[Fold, dict[str, Path]]:
    """Let a run's network and its variants answer the clips held out; return the variants' files too."""
    of_run = read_run_data(run, data)
    held_out = of_run.held_out
    files = quantize(parent_of(run), of_run.representative, run / "tflite", kinds, bounds=bounds)
    fold = Fold(
        held_out.name,
        _score(held_out.predictions(parent_logits(parent_of(run), held_out.inputs))),
        {kind: held_out.predictions(device_logits(files[kind], held_out.inputs)) for kind in kinds},
    )
    return fold, files


def _line(name: str, samples: str, figures: Iterable[float]) -> str:
    cells = [name, samples, *(f"{figure:.1%}" for figure in figures)]
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


def _score(predictions: Predictions) -> Evaluation:
    return evaluate(predictions.logits, predictions.truth, VOICE_LABELS)

"""Figures of a voice model trained on everybody: every clip is answered by a run that never heard its speaker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affectd.events import VOICE_LABELS
from affectd.inference.interpreter import Interpreter, load_runtime
from affectd.voice.features import VoiceFeatures
from affectd_convert.datasets import speech
from affectd_convert.device_logits import device_logits
from affectd_convert.errors import DataError
from affectd_convert.evaluate import Evaluation, evaluate
from affectd_convert.figures import Answers, Scored
from affectd_convert.held_out import Clips
from affectd_convert.parent import parent_logits, parent_of
from affectd_convert.quantize import quantize
from affectd_convert.robustness.table import Robustness, Row, voice_rows
from affectd_convert.run_data import read_config, read_run_data
from affectd_convert.scoring import FloatArray


@dataclass(frozen=True, eq=False)
class Fold:
    """One run, answering the clips of the actors it never heard."""

    name: str
    """Who they are."""
    parent: Evaluation
    """The float network's figures."""
    answers: dict[str, Answers]
    """Kind of variant to its answers."""
    rows: tuple[Row, ...]
    """The first variant in adverse conditions."""


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """All folds together."""

    folds: tuple[Fold, ...]
    kinds: tuple[str, ...]

    @property
    def scored(self) -> Scored:
        """Every clip's answer by the run that never heard its speaker; the calibration keeps folds together."""
        return Scored(
            f"RAVDESS, {len(self.folds)} folds, each fold's actors never trained on",
            {kind: self._pooled(kind) for kind in self.kinds},
        )

    @property
    def robustness(self) -> Robustness:
        """Each condition's mean over the folds."""
        rows = [
            Row(
                same[0].condition,
                round(float(np.mean([row.accuracy for row in same])), 6),
                round(float(np.mean([row.uar for row in same])), 6),
            )
            for same in zip(*(fold.rows for fold in self.folds), strict=True)
        ]
        samples = sum(fold.parent.samples for fold in self.folds)
        return Robustness(self.scored.name + "; mean over folds", samples, self.kinds[0], tuple(rows))

    def table(self) -> str:
        """Give the folds' figures as a Markdown table, the mean and spread last."""
        lines = ["| held out | clips | UAR float | " + " | ".join(f"UAR {kind}" for kind in self.kinds) + " |"]
        lines.append("| --- |" + " ---: |" * (2 + len(self.kinds)))
        columns = []
        for fold in self.folds:
            figures = [fold.parent.uar, *(_score(fold.answers[kind]).uar for kind in self.kinds)]
            columns.append(figures)
            lines.append(f"| {fold.name} | {fold.parent.samples} | " + " | ".join(f"{f:.1%}" for f in figures) + " |")
        for name, spread in (("mean", np.mean(columns, axis=0)), ("standard deviation", np.std(columns, axis=0))):
            lines.append(f"| **{name}** | | " + " | ".join(f"{value:.1%}" for value in spread) + " |")
        return "\n".join(lines)

    def _pooled(self, kind: str) -> Answers:
        each = [fold.answers[kind] for fold in self.folds]
        groups = np.repeat(np.arange(len(each)), [len(answers.truth) for answers in each])
        return Answers(
            np.concatenate([answers.logits for answers in each]),
            np.concatenate([answers.truth for answers in each]),
            groups,
        )


def cross_validate(runs: Sequence[Path], data: Path, kinds: Sequence[str]) -> CrossValidation:
    """Quantize every run to `kinds` and let it answer the clips of the actors that it never heard.

    Raises DataError when a run held nobody out or two held out the same, ConversionError as `quantize`.
    """
    held = [read_config(run)["data"].get("fold") for run in runs]
    if not all(isinstance(fold, int) for fold in held) or len(set(held)) < len(held) or len(held) < 2:
        raise DataError(f"cross-validation needs two runs or more that each hold out another fold; given: {held}")
    return CrossValidation(tuple(_fold(run, data, kinds) for run in runs), tuple(kinds))


def _fold(run: Path, data: Path, kinds: Sequence[str]) -> Fold:
    config, of_run = read_config(run), read_run_data(run, data)
    files = quantize(parent_of(run), of_run.representative, run / "tflite", kinds)

    def answers(logits: FloatArray) -> Answers:
        return of_run.held_out.answers(logits)

    features = VoiceFeatures.from_manifest(config["features"])
    _, held = speech.split(speech.read_speech(data), config["data"]["fold"])
    clips = Clips(
        tuple(speech.read_samples(clip.path, features.sample_rate) for clip in held),
        np.array([clip.label for clip in held]),
        tuple(clip.speaker for clip in held),
    )
    first = Interpreter(files[kinds[0]], load_runtime("auto"))
    return Fold(
        of_run.split,
        _score(answers(parent_logits(parent_of(run), of_run.inputs))),
        {kind: answers(device_logits(files[kind], of_run.inputs)) for kind in kinds},
        voice_rows(first.run, features, clips, report=lambda row: print(f"{run.name}: {row}", flush=True)),
    )


def _score(answers: Answers) -> Evaluation:
    return evaluate(answers.logits, answers.truth, VOICE_LABELS)

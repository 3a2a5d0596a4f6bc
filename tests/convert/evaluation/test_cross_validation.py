"""Speakers are kept apart, and the figures of a model trained on everybody are those of the folds."""

import json
from pathlib import Path

import numpy as np
import pytest

from affectd.events import VOICE_LABELS
from affectd_convert.datasets.speech import LEAKING, Utterance, describe_held, fold_of, split
from affectd_convert.errors import DataError
from affectd_convert.evaluation.cross_validation import CrossValidation, Fold, cross_validate
from affectd_convert.evaluation.metrics import evaluate
from affectd_convert.evaluation.report import Predictions
from affectd_convert.evaluation.robustness.table import Row


def clips() -> list[Utterance]:
    acted = [
        Utterance("ravdess", Path(f"{actor}-{n}.wav"), f"ravdess-{actor:02d}", VOICE_LABELS[n])
        for actor in (2, 5, 3, 6, 10, 8)
        for n in range(8)
    ]
    return [*acted, Utterance("savee", Path("DC_a01.wav"), "savee-DC", "angry")]


@pytest.mark.parametrize("fold", [0, 1, 2, 3])
def test_nobody_is_heard_in_training_and_in_validation(fold: int) -> None:
    training, held = split(clips(), fold)
    assert {fold_of(clip) for clip in held} == {fold}
    assert not {clip.speaker for clip in training} & {clip.speaker for clip in held}
    assert len(training) + len(held) == len(clips())
    assert "never trained on" in describe_held(held, fold)


def test_the_leaking_split_leaks_and_says_so() -> None:
    training, held = split(clips(), LEAKING)
    assert not set(training) & set(held)
    assert {clip.speaker for clip in held} <= {clip.speaker for clip in training}
    assert "leaking" in describe_held(held, LEAKING)


def test_without_a_fold_everybody_is_trained_on() -> None:
    training, held = split(clips(), None)
    assert training == clips()
    assert {clip.corpus for clip in held} == {"ravdess"}


def test_a_fold_that_is_not_here_is_refused() -> None:
    with pytest.raises(DataError, match="RAVDESS fold 4 is here"):
        split(clips(), 4)


MODELS = Path(__file__).parents[3] / "models"


def fold(name: str, right: float, uar: float) -> Fold:
    truth = np.arange(80) % 8
    logits = np.eye(8, dtype=np.float32)[np.where(np.arange(80) < 80 * right, truth, (truth + 1) % 8)] * 4
    rows = (Row("clean", uar, uar), Row("fan 0 dB", uar / 2, uar / 2))
    predictions = {"int8": Predictions(logits, truth, np.zeros(80))}
    return Fold(name, evaluate(logits, truth, VOICE_LABELS), predictions, rows)


def test_folds_are_pooled_clip_by_clip_and_averaged_condition_by_condition() -> None:
    both = CrossValidation((fold("actors A", 0.5, 0.5), fold("actors B", 0.75, 0.7)), ("int8",))
    report = both.report("affectd-convert evaluate")
    assert (report.first.samples, report.first.accuracy) == (160, 0.625)
    assert [row.uar for row in both.robustness.rows] == [0.6, 0.3]
    assert "| actors B | 80 | 75.0% | 75.0% |" in both.table()
    assert "| **mean** | | 62.5% | 62.5% |" in both.table()
    assert "| **standard deviation** | | 17.7% | 17.7% |" in both.table(), "of a sample: 12.5 * sqrt(2)"


def test_a_folds_temperature_is_fitted_on_the_others() -> None:
    right, wrong = fold("actors A", 0.9, 0.9), fold("actors B", 0.3, 0.3)
    both = CrossValidation((right, wrong), ("int8",))
    assert both.calibration_of(0).temperature > 3 * both.calibration_of(1).temperature


def test_the_leaking_run_stands_beside_the_folds_and_counts_for_nothing() -> None:
    two = (fold("actors A", 0.5, 0.5), fold("actors B", 0.75, 0.7))
    table = CrossValidation(two, ("int8",), fold("everybody known (leaking)", 1.0, 1.0)).table()
    assert table.splitlines()[-1] == "| *not in the mean:* everybody known (leaking) | 80 | 100.0% | 100.0% |"
    assert "| **mean** | | 62.5% | 62.5% |" in table


def record(run: Path, held: int | str | None) -> None:
    """Write the record of a run that held out this fold."""
    config = json.loads((MODELS / "voice-cnn-lstm" / "training" / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "data": {**config["data"], "fold": held}}))


def test_a_run_that_does_not_leak_is_not_taken_for_the_leaking_one(tmp_path: Path) -> None:
    runs = [tmp_path / str(number) for number in range(3)]
    for run, held in zip(runs, (0, 1, 2), strict=True):
        run.mkdir()
        record(run, held)
    with pytest.raises(DataError, match="not a run of the leaking split"):
        cross_validate(runs[:2], tmp_path, ["int8"], leaking=runs[2])


@pytest.mark.parametrize("folds", [[0], [0, 0], [0, None], [0, LEAKING]])
def test_runs_that_held_out_nobody_or_the_same_are_refused(tmp_path: Path, folds: list[int | str | None]) -> None:
    runs = [tmp_path / str(number) for number in range(len(folds))]
    for run, held in zip(runs, folds, strict=True):
        run.mkdir()
        record(run, held)
    with pytest.raises(DataError, match="each hold out another fold"):
        cross_validate(runs, tmp_path, ["int8"])

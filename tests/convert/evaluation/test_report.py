"""A bundle's figures: windows made predictions, and calibration errors on what the temperature was not fitted on."""

import numpy as np
import pytest

from affectd.inference.model import softmax
from affectd_convert.evaluation.calibration import Calibration, calibration_error
from affectd_convert.evaluation.report import Predictions, measure

LABELS = ("a", "b", "c")


def test_the_windows_of_a_clip_are_one_prediction():
    logits = np.array([[1, 0, 0], [0, 4, 0], [3, 0, 0], [0, 0, 1]], np.float32)
    predictions = Predictions.per_clip(
        logits, np.array([2, 0, 2, 1]), np.array(["x", "y", "x", "z"]), np.array([7, 3, 7, 9])
    )
    np.testing.assert_array_equal(predictions.logits, [[0, 4, 0], [2, 0, 0], [0, 0, 1]])
    assert predictions.truth.tolist() == [0, 2, 1]
    assert predictions.groups.tolist() == ["y", "x", "z"]
    assert predictions.windows is not None
    np.testing.assert_array_equal(predictions.windows.logits, logits)


def test_predictions_of_several_networks_are_a_group_each_and_their_windows_too():
    first = Predictions.per_clip(np.eye(3, dtype=np.float32), np.arange(3), np.zeros(3), np.array([0, 0, 1]))
    second = Predictions.per_clip(np.eye(3, dtype=np.float32)[:1], np.arange(1), np.zeros(1), np.array([0]))
    both = Predictions.pooled([first, second])
    assert both.groups.tolist() == [0, 0, 1]
    assert both.windows.groups.tolist() == [0, 0, 0, 1]
    assert both.windows.truth.tolist() == [0, 1, 2, 0]


def test_windows_are_measured_with_the_temperature_that_their_clips_were_not_fitted_on(predictions):
    clips = np.repeat(np.arange(2000), 2)
    # Both windows of a clip alike, so that a clip's prediction is its windows'.
    twice = Predictions.per_clip(predictions.logits[clips], predictions.truth[clips], predictions.groups[clips], clips)
    figures = measure("made up", {"int8": twice}, LABELS)
    assert figures.windows.samples == 4000
    assert figures.windows.ece["int8"] == pytest.approx(figures.first.ece)
    assert measure("made up", {"int8": predictions}, LABELS).windows is None


@pytest.fixture
def predictions():
    """Predictions twice too sure in one group and calibrated in the other."""
    rng = np.random.default_rng(0)
    right = (rng.standard_normal((4000, 3)) * 2).astype(np.float32)
    truth = np.array([rng.choice(3, p=p) for p in softmax(right)])
    groups = np.arange(4000) % 2
    return Predictions(right * np.where(groups, 2, 1)[:, None].astype(np.float32), truth, groups)


def test_without_other_data_the_error_is_cross_fitted(predictions):
    figures = measure("made up", {"int8": predictions, "float16": predictions}, LABELS)
    assert figures.temperature == pytest.approx(1.5, abs=0.2)
    # Fitted on all, the temperature flatters: each group gets the other's, which is wrong for it here.
    flattering = calibration_error(softmax(predictions.logits, figures.temperature), predictions.truth)
    assert figures.first.ece > 1.5 * flattering
    assert figures.by_kind["float16"].ece == figures.first.ece
    assert [name.partition(",")[2] for name in figures.reliability] == ["", " cross-fitted"]


def test_a_temperature_of_other_data_is_shipped_as_it_is(predictions):
    figures = measure("made up", {"int8": predictions}, LABELS, calibration=Calibration(1.5, "other clips"))
    assert figures.temperature == 1.5
    assert figures.first.ece == pytest.approx(
        calibration_error(softmax(predictions.logits, 1.5), predictions.truth), abs=1e-6
    )

"""A bundle's figures: windows made answers, and calibration errors on what the temperature was not fitted on."""

import numpy as np
import pytest

from affectd.inference.model import softmax
from affectd_convert.calibration import Calibration, calibration_error
from affectd_convert.figures import Answers, Scored, measure

LABELS = ("a", "b", "c")


def test_the_windows_of_a_clip_are_one_answer():
    logits = np.array([[1, 0, 0], [0, 4, 0], [3, 0, 0], [0, 0, 1]], np.float32)
    answers = Answers.per_clip(logits, np.array([2, 0, 2, 1]), np.array(["x", "y", "x", "z"]), np.array([7, 3, 7, 9]))
    np.testing.assert_array_equal(answers.logits, [[0, 4, 0], [2, 0, 0], [0, 0, 1]])
    assert answers.truth.tolist() == [0, 2, 1]
    assert answers.groups.tolist() == ["y", "x", "z"]


@pytest.fixture
def answers():
    """Answers twice too sure in one group and calibrated in the other."""
    rng = np.random.default_rng(0)
    right = (rng.standard_normal((4000, 3)) * 2).astype(np.float32)
    truth = np.array([rng.choice(3, p=p) for p in softmax(right)])
    groups = np.arange(4000) % 2
    return Answers(right * np.where(groups, 2, 1)[:, None].astype(np.float32), truth, groups)


def test_without_other_data_the_error_is_cross_fitted(answers):
    figures = measure(Scored("made up", {"int8": answers, "float16": answers}), LABELS)
    assert figures.temperature == pytest.approx(1.5, abs=0.2)
    # Fitted on all, the temperature flatters: each group gets the other's, which is wrong for it here.
    flattering = calibration_error(softmax(answers.logits, figures.temperature), answers.truth)
    assert figures.first.ece > 1.5 * flattering
    assert figures.by_kind["float16"].ece == figures.first.ece
    assert [name.partition(",")[2] for name in figures.reliability] == ["", " cross-fitted"]


def test_a_temperature_of_other_data_is_shipped_as_it_is(answers):
    figures = measure(Scored("made up", {"int8": answers}), LABELS, calibration=Calibration(1.5, "other clips"))
    assert figures.temperature == 1.5
    assert figures.first.ece == pytest.approx(calibration_error(softmax(answers.logits, 1.5), answers.truth), abs=1e-6)

"""Figures against values worked out by hand, and the temperature against a known one."""

import numpy as np
import pytest

from affectd.inference.model import softmax
from affectd_convert.evaluate import (
    calibration_error,
    evaluate,
    fit_temperature,
    plot_confusion,
    plot_reliability,
)


def logits_of(predicted, labels=3):
    return (np.eye(labels)[predicted] * 4).astype(np.float32)


def test_figures_worked_out_by_hand():
    truth = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    predicted = np.array([0, 0, 0, 1, 1, 0, 1, 1])
    result = evaluate(logits_of(predicted), truth, ("a", "b", "c"))
    assert result.confusion.tolist() == [[3, 1, 0], [1, 1, 0], [0, 2, 0]]
    assert result.accuracy == pytest.approx(0.5)
    assert result.recall == pytest.approx((0.75, 0.5, 0.0))
    assert result.precision == pytest.approx((0.75, 0.25, 0.0))
    assert result.f1 == pytest.approx((0.75, 1 / 3, 0.0))
    assert result.uar == pytest.approx(1.25 / 3)
    assert result.macro_f1 == pytest.approx((0.75 + 1 / 3) / 3)
    assert result.to_json()["recall"] == {"a": 0.75, "b": 0.5, "c": 0.0}


def test_a_label_that_the_split_lacks_does_not_count():
    result = evaluate(logits_of(np.array([0, 1])), np.array([0, 1]), ("a", "b", "c"))
    assert result.uar == 1
    assert result.macro_f1 == 1


def test_calibration_error_worked_out_by_hand():
    # Two bins: 0.9 sure and right half the time; 0.6 sure and always right.
    probabilities = np.array([[0.9, 0.1]] * 2 + [[0.6, 0.4]] * 2)
    truth = np.array([0, 1, 0, 0])
    assert calibration_error(probabilities, truth) == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)


@pytest.mark.parametrize("temperature", [0.5, 2.5])
def test_the_temperature_is_found_again(temperature):
    rng = np.random.default_rng(0)
    calibrated = rng.standard_normal((20_000, 7)) * 2
    truth = np.array([rng.choice(7, p=p) for p in softmax(calibrated.astype(np.float32))])
    logits = (calibrated * temperature).astype(np.float32)
    assert fit_temperature(logits, truth) == pytest.approx(temperature, rel=0.05)
    assert calibration_error(softmax(logits, temperature), truth) < calibration_error(softmax(logits), truth)


def test_plots_are_pictures(tmp_path):
    rng = np.random.default_rng(0)
    logits, truth = rng.standard_normal((50, 3)).astype(np.float32), rng.integers(0, 3, 50)
    plot_confusion(evaluate(logits, truth, ("a", "b", "c")), tmp_path / "confusion.png")
    plot_reliability(logits, truth, 1.5, tmp_path / "reliability.png")
    for path in tmp_path.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 5000

"""Calibration against values worked out by hand, known temperatures, and samples that must not be fitted on."""

import numpy as np
import pytest

from affectd.inference.model import softmax
from affectd_convert.errors import DataError
from affectd_convert.evaluation.calibration import (
    calibrated,
    calibration_error,
    cross_fitted,
    error_by_chance,
    fit_temperature,
    random_halves,
)


def drawn(count, temperature, seed=0):
    """Logits that are too sure by `temperature`, and labels drawn from what they should say."""
    rng = np.random.default_rng(seed)
    right = (rng.standard_normal((count, 7)) * 2).astype(np.float32)
    truth = np.array([rng.choice(7, p=p) for p in softmax(right)])
    return right * np.float32(temperature), truth


def test_calibration_error_worked_out_by_hand():
    # Two bins: 0.9 sure and right half the time; 0.6 sure and always right.
    probabilities = np.array([[0.9, 0.1]] * 2 + [[0.6, 0.4]] * 2)
    truth = np.array([0, 1, 0, 0])
    assert calibration_error(probabilities, truth) == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)


@pytest.mark.parametrize("temperature", [0.5, 2.5])
def test_the_temperature_is_found_again(temperature):
    logits, truth = drawn(10_000, temperature)
    assert fit_temperature(logits, truth) == pytest.approx(temperature, rel=0.05)
    assert calibration_error(softmax(logits, temperature), truth) < calibration_error(softmax(logits), truth)


def test_the_confidence_of_the_first_answer_is_what_is_fitted():
    # First answers right as often as they say, but the truth is never the second: the likelihood of the truth would
    # ask for another temperature.
    logits, truth = drawn(10_000, 1.0)
    wrong = logits.argmax(axis=1) != truth
    truth = np.where(wrong, logits.argmin(axis=1), truth)
    assert fit_temperature(logits, truth) == pytest.approx(1.0, rel=0.05)


def test_a_calibrated_model_shows_the_error_that_so_few_samples_have_by_chance():
    found = []
    for seed in range(20):
        logits, truth = drawn(300, 1.0, seed)
        answers = softmax(logits)
        found.append((calibration_error(answers, truth), error_by_chance(answers)))
    measured, expected = np.mean(found, axis=0)
    assert measured == pytest.approx(expected, rel=0.15)
    assert 0.03 < expected < 0.08
    # One bin, right with 0.5: a binomial's mean deviation, sqrt(0.25 / 100 * 2 / pi).
    assert error_by_chance(np.full((100, 2), 0.5)) == pytest.approx(0.0399, abs=1e-4)
    assert error_by_chance(softmax(drawn(30_000, 1.0)[0])) < 0.01


def test_a_group_gets_the_temperature_of_the_others():
    parts = [drawn(4000, temperature, seed) for seed, temperature in enumerate((1.0, 3.0))]
    logits, truth = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    groups = np.repeat(["ann", "bob"], 4000)
    temperature_of = cross_fitted(logits, truth, groups)
    assert temperature_of == pytest.approx({"ann": 3.0, "bob": 1.0}, rel=0.1)
    temperatures = np.array([temperature_of[name] for name in groups.tolist()])
    np.testing.assert_allclose(calibrated(logits, temperatures)[:4000], softmax(logits[:4000], temperatures[0]), 1e-5)


def test_one_group_cannot_be_cross_fitted():
    with pytest.raises(DataError, match="two groups or more"):
        cross_fitted(*drawn(10, 1.0), np.zeros(10))


def test_copies_are_in_one_half():
    inputs = np.random.default_rng(0).standard_normal((100, 4)).astype(np.float32)
    halves = random_halves(np.concatenate([inputs, inputs[::-1]]))
    assert (halves[:100] == halves[100:][::-1]).all()
    assert np.bincount(halves).tolist() == [100, 100]
    assert (halves == random_halves(np.concatenate([inputs, inputs[::-1]]))).all()

"""The belief over time converges to what is said, neither faster nor further when it is said more often."""

import numpy as np
import pytest

from affectd.fusion.smoothing import Belief
from affectd.fusion.strategies import UNIFORM

HAPPY, SAD = np.array([0.03, 0.01, 0.05, 0.7, 0.05, 0.06, 0.1]), np.array([0.05, 0.02, 0.1, 0.03, 0.6, 0.05, 0.15])


def fed(readings, half_life_s=1.0):
    belief = Belief(half_life_s)
    for at, probabilities in readings:
        belief.update(probabilities, at)
    return belief


def test_starts_uniform_and_resets_to_it():
    belief = Belief(1.0)
    np.testing.assert_allclose(belief.probabilities, UNIFORM)
    belief.update(HAPPY, 1.0)
    belief.reset()
    np.testing.assert_allclose(belief.probabilities, UNIFORM)


@pytest.mark.parametrize("rate", [0.7, 10, 60])
def test_steady_input_converges_to_itself_not_to_certainty(rate):
    times = np.arange(0, 60, 1 / rate)
    belief = fed([(0.0, SAD), *((t, HAPPY) for t in times[1:])])
    np.testing.assert_allclose(belief.probabilities, HAPPY, atol=5e-3)


def test_same_reading_again_adds_nothing():
    once = fed([(0.0, SAD), (0.5, HAPPY)])
    often = fed([(0.0, SAD), *[(0.5, HAPPY)] * 10])
    np.testing.assert_array_equal(once.probabilities, often.probabilities)


def test_rate_of_readings_does_not_matter():
    rng = np.random.default_rng(2)
    sad_then = [(t, SAD) for t in np.linspace(0, 5, 6)]
    coarse = fed([*sad_then, (6.0, HAPPY)])
    fine = fed([*sad_then, *((t, HAPPY) for t in sorted(rng.uniform(5, 6, 40))), (6.0, HAPPY)])
    np.testing.assert_allclose(coarse.probabilities, fine.probabilities, atol=1e-9)


def test_half_life_is_when_old_and_new_weigh_the_same():
    settled = [(t, SAD) for t in np.arange(0, 40, 0.1)]
    belief = fed([*settled, (settled[-1][0] + 2.5, HAPPY)], half_life_s=2.5)
    both = np.sqrt(SAD * HAPPY)
    np.testing.assert_allclose(belief.probabilities, both / both.sum(), atol=1e-3)


def test_late_reading_from_the_past_is_ignored():
    belief = fed([(0.0, SAD), (1.0, SAD)])
    before = belief.probabilities
    belief.update(HAPPY, 0.5)
    np.testing.assert_array_equal(belief.probabilities, before)


def test_a_reading_without_a_label_does_not_speak_against_it_but_lets_it_fade():
    """A voice said fear; then a face alone is read, whose model does not know fear."""
    fear, three = np.eye(7)[2] * 0.94 + 0.01, np.isin(np.arange(7), [3, 4, 6])
    neutral = np.where(three, [0, 0, 0, 0.2, 0.2, 0, 0.6], 0)
    belief = fed([(at, fear) for at in np.arange(0, 10, 0.1)])
    shares = []
    for at in np.arange(10, 20, 0.1):
        belief.update(neutral, at, three)
        shares.append(belief.probabilities[2])
    assert shares == sorted(shares, reverse=True)
    # One half-life later what was heard is half of what is known, and of the others' mean half is of the face.
    others = 0.01**0.5 * np.sqrt([0.2, 0.2, 0.6]).sum()
    assert shares[9] == pytest.approx(0.5 * 0.95 / (0.5 * (0.95 + 3 * 0.01) + others), abs=0.01)
    assert shares[-1] < 0.01
    np.testing.assert_allclose(belief.probabilities, neutral, atol=0.01)
    belief.update(fear, 22.0)
    assert belief.probabilities.argmax() == 2


def test_a_label_that_no_reading_knows_has_nothing():
    three = np.isin(np.arange(7), [3, 4, 6])
    belief = Belief(1.0)
    for at in (0.0, 0.1, 5.0):
        belief.update(three / 3, at, three)
        assert belief.probabilities == pytest.approx(three / 3)


def test_noise_is_averaged_out_and_stays_a_distribution():
    rng = np.random.default_rng(3)
    belief = Belief(1.0)
    at, spread = 0.0, []
    for _ in range(2000):
        at += rng.exponential(0.1)
        belief.update(rng.dirichlet(20 * HAPPY), at)
        assert belief.probabilities.sum() == pytest.approx(1)
        assert belief.probabilities.min() > 0
        spread.append(belief.probabilities[3])
    raw = rng.dirichlet(20 * HAPPY, 2000)[:, 3]
    assert np.std(spread[100:]) < np.std(raw) / 1.5
    assert np.mean(spread[100:]) < 0.9

"""Thresholds, dwell and absence on beliefs written by hand."""

import numpy as np
import pytest

from affectd.events import LABELS
from affectd.fusion.hysteresis import Hysteresis


def belief(**probabilities):
    rest = (1 - sum(probabilities.values())) / (len(LABELS) - len(probabilities))
    return np.array([probabilities.get(label, rest) for label in LABELS])


@pytest.fixture
def announced():
    """Happy since 0, announced at 1."""
    hysteresis = Hysteresis(enter=0.5, leave=0.35, dwell_s=1.0, absent_s=3.0)
    assert not hysteresis.observe(belief(happy=0.6), 0.0)
    assert not hysteresis.observe(belief(happy=0.6), 0.9)
    assert hysteresis.observe(belief(happy=0.6), 1.0)
    return hysteresis


def test_emotion_stays_while_it_is_at_leave_or_above_even_behind_another(announced):
    for at in range(2, 20):
        assert not announced.observe(belief(happy=0.36, sad=0.55), at)
    assert announced.emotion == "happy"


def test_successor_needs_enter_to_begin(announced):
    assert not announced.observe(belief(happy=0.2, sad=0.49), 2.0)
    assert not announced.observe(belief(happy=0.2, sad=0.49), 3.5)
    assert announced.emotion == "happy"
    assert not announced.observe(belief(happy=0.2, sad=0.51), 4.0)
    assert announced.observe(belief(happy=0.2, sad=0.51), 5.0)
    assert (announced.emotion, announced.since) == ("sad", 4.0)
    assert (announced.previous, announced.previous_held_s) == ("happy", 4.0)


def test_successor_may_waver_above_leave_during_its_dwell(announced):
    assert not announced.observe(belief(happy=0.1, sad=0.55), 2.0)
    assert not announced.observe(belief(happy=0.1, sad=0.45), 2.5)
    assert announced.observe(belief(happy=0.1, sad=0.45), 3.0)


def test_successor_that_loses_the_lead_starts_over(announced):
    assert not announced.observe(belief(happy=0.1, sad=0.55), 2.0)
    assert not announced.observe(belief(happy=0.1, fear=0.55), 2.5)
    assert not announced.observe(belief(happy=0.1, sad=0.55), 2.9)
    assert not announced.observe(belief(happy=0.1, sad=0.55), 3.5)
    assert announced.observe(belief(happy=0.1, sad=0.55), 3.9)


def test_nothing_clear_ends_the_emotion_only_after_the_longer_patience(announced):
    assert not announced.observe(belief(), 2.0)
    assert not announced.observe(belief(), 4.9)
    assert announced.observe(belief(), 5.0)
    assert (announced.emotion, announced.since) == (None, 2.0)


def test_withheld_word_ends_the_emotion_after_the_dwell(announced):
    assert not announced.observe(belief(happy=0.9), 2.0, withheld=True)
    assert announced.observe(belief(happy=0.9), 3.0, withheld=True)
    assert announced.emotion is None


def test_absence_is_one_event(announced):
    assert announced.absent(7.0)
    assert not announced.absent(7.0)
    assert (announced.emotion, announced.since, announced.previous) == (None, 7.0, "happy")

"""The proof of events over time in small: a public-domain portrait, seen clearly, in trouble, and never clearly."""

import importlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from affectd.events import LABELS
from affectd.inference.bundle import Bundle
from affectd.inference.model import open_model
from support.scenes import scene

ROOT = Path(__file__).parents[3]
HAPPY = LABELS.index("happy")


@pytest.fixture(scope="module")
def over_time():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "scripts" / "senses")
        return importlib.import_module("over_time")


@pytest.fixture(scope="module")
def session(over_time):
    """Return the moments of a session of (trouble, seconds) pairs with the portrait, who smiles."""
    model = open_model(Bundle.load(ROOT / "models" / "face-vgg16-slim"), "int8")
    gray = cv2.cvtColor(scene((320, 240, 120)), cv2.COLOR_BGR2GRAY)[180:300, 260:380]
    portrait = np.asarray(cv2.resize(gray, (48, 48), interpolation=cv2.INTER_AREA), np.uint8)

    def moments(*parts):
        rng = np.random.default_rng(0)
        troubles = [trouble for trouble, seconds in parts for _ in range(round(seconds * over_time.FPS))]
        frames = (
            (number / over_time.FPS, HAPPY, over_time.shown(portrait, trouble, rng))
            for number, trouble in enumerate(troubles)
        )
        return list(over_time.read(model, frames))

    return moments


def test_who_is_seen_clearly_is_named_and_stays_so_through_moments_of_trouble(over_time, session):
    moments = session(("", 3), ("blur 3", 0.8), ("", 2), ("mask", 0.8), ("", 2), ("turned away", 0.5), ("", 2))
    told = over_time.play(moments)
    assert [emotion for _, emotion, event in told if event] == ["happy"]
    result = over_time.score(moments, told)
    assert (result.false_an_hour, result.wrong_time, result.reached) == (0, 0, 1)
    assert result.median_s < 2


@pytest.mark.parametrize("trouble", ["mask", "blur 4"])
def test_who_is_never_seen_clearly_gives_no_emotion(trouble, over_time, session):
    moments = session((trouble, 6))
    assert max(moment.reading.primary.quality for moment in moments) < 0.25
    assert not any(emotion for _, emotion, _ in over_time.play(moments))


def test_an_event_that_names_what_was_not_shown_is_false(over_time, session):
    moments = session(("", 4))
    told = [(moment.at, "sad" if moment.at > 2 else None, number == 21) for number, moment in enumerate(moments)]
    result = over_time.score(moments, told)
    assert result.false_an_hour == pytest.approx(3600 / 4)
    assert (result.reached, result.right_time) == (0, 0)
    assert result.wrong_time == pytest.approx(0.475)

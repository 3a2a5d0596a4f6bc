"""The watch over mouths, on faces that are drawn frame by frame."""

import numpy as np
import pytest

from affectd.face.mouth import MouthTracker
from support.stage import HEIGHT, STEP, WIDTH, Actor, Curves, sensor

SIDE = 120


def drawn(curves, seconds, light=None):
    """Yield time and crop of a face of SIDE pixels, ten a second, as a small sensor takes it."""
    rng = np.random.default_rng(0)
    actor = Actor(SIDE, (WIDTH / 2, HEIGHT / 2), curves)
    for at in np.arange(0, seconds, 0.1):
        picture = np.full((HEIGHT, WIDTH), 120, np.float32)
        actor.draw(picture, at)
        picture *= 1.0 if light is None else light(at)
        reach = round(0.525 * SIDE)
        rows, columns = (slice(middle // 2 - reach, middle // 2 + reach) for middle in (HEIGHT, WIDTH))
        yield float(at), sensor(picture, rng)[rows, columns]


def watched(curves, seconds=3, **options):
    watch = MouthTracker()
    return [watch.measure({1: crop}, at).get(1) for at, crop in drawn(curves, seconds, **options)]


def moving(**curves):
    some = Curves(4 * STEP)
    wave = np.sin(2 * np.pi * 2.3 * np.arange(4 * STEP) / STEP)
    for name, size in curves.items():
        setattr(some, name, size * wave)
    return some


def motion(mouths):
    return float(np.mean([mouth.motion for mouth in mouths if mouth is not None]))


def test_a_mouth_that_opens_is_seen_to_move_and_darken():
    opening = Curves(4 * STEP)
    opening.opening = 0.6 * np.clip(np.sin(2 * np.pi * 1.1 * np.arange(4 * STEP) / STEP), 0, None)
    mouths = watched(opening)
    assert mouths[0] is None
    darkness = np.array([mouth.darkness for mouth in mouths[1:]])
    assert np.corrcoef(darkness, opening.opening[10 : 3 * STEP : 10])[0, 1] > 0.9
    assert motion(mouths) > 0.05


@pytest.mark.parametrize("head", [{"y": 0.05}, {"x": 0.05}, {"pitch": 8.0}, {"yaw": 12.0}, {"lids": 1.0}, {}])
def test_a_head_that_moves_with_its_mouth_shut_does_not_count(head):
    assert motion(watched(moving(**head))) < 0.02


def test_a_lamp_that_flickers_does_not_count():
    assert motion(watched(Curves(4 * STEP), light=lambda at: 0.8 + 0.2 * np.sin(9 * at))) < 0.02


def test_what_cannot_be_compared_is_not_told():
    (first, crop), (second, after), *_ = drawn(Curves(STEP), 1)
    watch = MouthTracker()
    assert watch.measure({1: crop, 2: crop[::2, ::2]}, first) == {}
    assert watch.measure({1: after}, first + 0.02) == {}  # another frame so soon
    assert set(watch.measure({1: after, 2: crop[::2, ::2]}, second)) == {1}  # the second is small
    assert watch.measure({1: crop}, second + 1.0) == {}  # a second later
    watch.reset()
    assert watch.measure({1: crop}, second + 1.1) == {}

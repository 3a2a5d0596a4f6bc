"""How loud, dead or overdriven a microphone's sound is, said in one sentence and not too often."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.voice.sound_check import LOG_AGAIN_S, WINDOW_S, SoundCheck, loudness
from support.media import tone

RATE = 16_000
SILENCE = np.zeros(RATE, np.int16)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def feed(check: SoundCheck, samples: NDArray[np.int16], times: int = 1) -> None:
    """Return it so many times these samples, in chunks of 0.1 s."""
    for _ in range(times):
        for chunk in np.split(samples, 10):
            check.take("microphone desk", chunk)


def overdriven(factor: float) -> NDArray[np.int16]:
    return np.clip(tone(1.0).astype(np.float64) * factor, -32768, 32767).astype(np.int16)


def test_a_level_is_that_of_the_newest_ten_seconds() -> None:
    check = SoundCheck(RATE)
    assert check.loudness is None
    feed(check, tone(1.0), 20)
    assert check.loudness is not None
    assert check.loudness.level_db == pytest.approx(-9.2, abs=0.1)  # a sine at half of full scale
    feed(check, tone(1.0) // 10, 10)
    assert check.loudness.level_db == pytest.approx(-29.2, abs=0.1)
    check.reset()
    assert (check.loudness, check.notice) == (None, None)


def test_silence_is_told_after_ten_seconds_and_over_with_the_first_sound(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    check = SoundCheck(RATE)
    feed(check, SILENCE, round(WINDOW_S) - 1)
    assert check.trouble is None
    feed(check, SILENCE, 20)
    assert check.trouble == "dead"
    assert check.notice == "microphone desk: digital silence for 10 s; is it muted, or another input the default?"
    assert check.loudness is not None
    assert check.loudness.level_db == -100
    feed(check, np.random.default_rng(1).integers(-4, 5, RATE).astype(np.int16))
    assert (check.trouble, check.notice) == (None, None)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_quiet_room_is_not_dead() -> None:
    check = SoundCheck(RATE)
    feed(check, np.random.default_rng(1).integers(-3, 4, RATE).astype(np.int16), 30)
    assert check.trouble is None


def test_overdriven_sound_is_told_until_it_is_ten_seconds_old() -> None:
    check = SoundCheck(RATE)
    feed(check, tone(1.0), 10)
    assert check.trouble is None
    feed(check, overdriven(4))
    assert check.trouble == "overdriven"
    assert check.notice is not None
    assert "of the sound is at full scale; turn its gain down" in check.notice
    feed(check, tone(1.0), 8)
    assert check.trouble == "overdriven"
    feed(check, tone(1.0), 2)
    assert check.trouble is None


def test_a_single_bang_is_not_overdriven() -> None:
    bang = tone(1.0)
    bang[:100] = 32_767
    check = SoundCheck(RATE)
    feed(check, tone(1.0), 10)
    feed(check, bang)
    assert check.trouble is None


def test_a_noise_gate_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    check = SoundCheck(RATE, clock=clock)
    for _ in range(5):
        feed(check, SILENCE, 12)
        assert check.trouble == "dead"
        feed(check, tone(1.0), 2)
        assert check.trouble is None
    assert len(caplog.records) == 2
    clock.now += LOG_AGAIN_S
    feed(check, SILENCE, 12)
    assert len(caplog.records) == 3


def test_both_ends_of_the_scale_count_as_cut_off() -> None:
    assert loudness(np.array([-32_768, 32_767, 0, 0], np.int16)).clipped == 0.5
    assert loudness(np.array([-32_000, 32_000, 0, 0], np.int16)).clipped == 0

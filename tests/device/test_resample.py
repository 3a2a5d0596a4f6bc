"""Resampling block after block gives what resampling at once gives, without seams."""

from __future__ import annotations

import numpy as np
import pytest

from affectd.resample import MonoResampler
from support.media import tone


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
def test_a_tone_keeps_its_frequency_level_and_phase_over_blocks_of_any_size(rate: int) -> None:
    stereo = np.repeat(tone(2.0, hz=440, sample_rate=rate), 2)
    resampler = MonoResampler(rate, channels=2)
    cuts = np.sort(np.random.default_rng(1).integers(0, stereo.size // 2, 30)) * 2
    heard = np.concatenate([resampler.process(block) for block in np.split(stereo, cuts)])

    assert heard.size == pytest.approx(2.0 * 16_000, abs=200)
    steady = heard[400:].astype(float)
    phase = 2 * np.pi * 440 * np.arange(steady.size) / 16_000
    basis = np.stack([np.sin(phase), np.cos(phase)], axis=1)
    coefficients, *_ = np.linalg.lstsq(basis, steady, rcond=None)
    assert np.hypot(*coefficients) == pytest.approx(16_000, rel=0.01)
    assert np.abs(steady - basis @ coefficients).max() < 40


def test_what_16_khz_cannot_hold_is_filtered_out() -> None:
    heard = MonoResampler(48_000, channels=1).process(tone(1.0, hz=11_000, sample_rate=48_000))
    assert np.abs(heard[400:]).max() < 200


def test_channels_are_averaged() -> None:
    left, right = tone(0.5), np.zeros(8_000, np.int16)
    heard = MonoResampler(16_000, channels=2).process(np.stack([left, right], axis=1).reshape(-1))
    assert np.abs(heard - left / 2).max() <= 1

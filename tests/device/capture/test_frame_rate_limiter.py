"""Thinning keeps the asked rate on average."""

from __future__ import annotations

import numpy as np
import pytest

from affectd.capture.frame_rate_limiter import FrameRateLimiter


@pytest.mark.parametrize(
    ("source_fps", "expected"), [(5, 5), (10, 10), (12, 10), (15, 10), (25, 10), (30, 10), (60, 10)]
)
def test_the_rate_is_kept_on_average_whatever_the_source_and_its_jitter(source_fps: int, expected: int) -> None:
    jitter = np.random.default_rng(1).uniform(-0.01, 0.01, source_fps * 20)
    times = 100 + np.arange(source_fps * 20) / source_fps + jitter
    pace = FrameRateLimiter(10)
    assert sum(pace.take(at) for at in times) / 20 == pytest.approx(expected, rel=0.05)


def test_a_pause_is_not_made_up_for() -> None:
    pace = FrameRateLimiter(10)
    assert pace.take(0.0)
    taken = [at for at in np.arange(10, 11, 0.01) if pace.take(at)]
    assert len(taken) in (10, 11)

"""Rates, latencies and totals against a clock we turn, and the memory that is held."""

import mmap
import threading

import numpy as np
import pytest

from affectd.service.meters import Meters, rss_mb


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.mark.parametrize("rate", [0.5, 10.0, 60.0, 400.0])
def test_rate_is_what_came_in_the_window(clock, rate):
    meters = Meters(window_s=10.0, clock=clock)
    for _ in range(int(40 * rate)):
        clock.now += 1 / rate
        meters.tick("frames")
    assert meters.rate("frames") == pytest.approx(rate, rel=0.05)
    clock.now += 11
    assert meters.rate("frames") == 0


def test_rate_soon_after_the_start_is_not_diluted(clock):
    meters = Meters(window_s=10.0, clock=clock)
    for _ in range(10):
        clock.now += 0.1
        meters.tick("frames")
    assert meters.rate("frames") == pytest.approx(10, rel=0.11)
    assert meters.rate("never") == 0


def test_percentiles_cover_the_newest():
    meters = Meters()
    assert meters.percentiles("face") is None
    for _ in range(1000):
        meters.took("face", 5.0)
    for ms in np.random.default_rng(1).permutation(512):
        meters.took("face", ms / 1000)
    percentiles = meters.percentiles("face")
    assert percentiles.p50_ms == pytest.approx(255.5)
    assert percentiles.p95_ms == pytest.approx(485.5, abs=1)


def test_totals_add_up_across_threads():
    meters = Meters()

    def drop():
        for _ in range(1000):
            meters.add("frames_dropped")
            meters.tick("frames")

    threads = [threading.Thread(target=drop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    meters.add("frames_dropped", 6)
    assert meters.total("frames_dropped") == 4006
    assert meters.total("never") == 0


def test_memory_grows_with_what_is_held():
    before = rss_mb()
    # Pages of its own: what the allocator has free already would not show.
    held = mmap.mmap(-1, 40_000_000)
    for page in range(0, len(held), mmap.PAGESIZE):
        held[page] = 1
    assert rss_mb() - before > 30
    held.close()

"""Rates, latencies and totals against a clock we turn, and the board's figures from files."""

import mmap
import threading

import numpy as np
import pytest

from affectd.service.health import Meters, rss_mb, temperature_c, throttled


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


def test_hottest_zone_counts_and_broken_ones_do_not(tmp_path):
    assert temperature_c(tmp_path) is None
    for zone, text in enumerate(["41500\n", "63250\n", "", "n/a"]):
        (tmp_path / f"thermal_zone{zone}").mkdir()
        (tmp_path / f"thermal_zone{zone}" / "temp").write_text(text)
    (tmp_path / "thermal_zone9").mkdir()
    assert temperature_c(tmp_path) == 63.25


@pytest.mark.parametrize(
    ("text", "now"), [("0\n", False), ("50005\n", True), ("50000\n", False), ("0x4\n", True), ("what?", None)]
)
def test_throttling_is_about_the_present(tmp_path, text, now):
    file = tmp_path / "get_throttled"
    file.write_text(text)
    assert throttled(file) is now


def test_other_boards_do_not_throttle(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert throttled(tmp_path / "absent") is None


def test_vcgencmd_is_asked_where_the_file_is_missing(tmp_path, monkeypatch):
    tool = tmp_path / "vcgencmd"
    tool.write_text('#!/bin/sh\necho "throttled=0x50005"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert throttled(tmp_path / "absent") is True


def test_memory_grows_with_what_is_held():
    before = rss_mb()
    # Pages of its own: what the allocator has free already would not show.
    held = mmap.mmap(-1, 40_000_000)
    for page in range(0, len(held), mmap.PAGESIZE):
        held[page] = 1
    assert rss_mb() - before > 30
    held.close()

"""What is measured for the health message: rates, latencies, totals and memory."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

from affectd.publish.health_document import Latency


class Meters:
    """Counts and times what the pipeline's threads report. Bounded memory; safe from any thread.

    Names are the caller's ('frames', 'face'); the same name always means the same meter.
    """

    def __init__(self, *, window_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Rates cover the last `window_s`; latencies the last 512 measurements of each name."""
        self._window_s = window_s
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()
        self._ticks: dict[str, deque[float]] = {}
        self._totals: Counter[str] = Counter()
        self._latencies: dict[str, deque[float]] = {}

    def tick(self, name: str) -> None:
        """Count one of `name` for its rate."""
        with self._lock:
            self._ticks.setdefault(name, deque(maxlen=1024)).append(self._clock())

    def add(self, name: str, count: int = 1) -> None:
        """Add to a total that only rises, such as frames dropped."""
        with self._lock:
            self._totals[name] += count

    def took(self, name: str, seconds: float) -> None:
        """Take in one latency."""
        with self._lock:
            self._latencies.setdefault(name, deque(maxlen=512)).append(seconds)

    def rate(self, name: str) -> float:
        """How many a second, over the window or since the start where that is shorter."""
        now = self._clock()
        span = min(self._window_s, max(now - self._began, 1e-3))
        with self._lock:
            ticks = self._ticks.get(name, deque())
            inside = sum(1 for at in ticks if at > now - span)
            if ticks and inside == ticks.maxlen:  # more than the ring holds: the ring's own span counts
                span = max(now - ticks[0], 1e-3)
        return inside / span

    def total(self, name: str) -> int:
        """The total so far, 0 before the first."""
        with self._lock:
            return self._totals[name]

    def percentiles(self, name: str) -> Latency | None:
        """Median and 95th percentile; None before the first measurement."""
        with self._lock:
            seconds = list(self._latencies.get(name, ()))
        if not seconds:
            return None
        p50, p95 = np.percentile(seconds, (50, 95)) * 1000
        return Latency(float(p50), float(p95))


def rss_mb(file: Path = Path("/proc/self/statm")) -> float:
    """Resident memory of this process in MB (1e6 bytes)."""
    pages = int(file.read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

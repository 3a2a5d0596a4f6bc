"""What is measured for the health message: rates, latencies and totals, and the board's own figures."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

from affectd.publish.health_document import Latency

THROTTLED_FILE = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
THERMAL = Path("/sys/class/thermal")


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


def temperature_c(root: Path = THERMAL) -> float | None:
    """The hottest thermal zone in degrees Celsius; None where the board has none."""
    readings = []
    for file in root.glob("thermal_zone*/temp"):
        try:
            readings.append(int(file.read_text()) / 1000)
        except (OSError, ValueError, OverflowError):  # a zone that is switched off answers EINVAL or nothing
            continue
    return max(readings, default=None)


def throttled(file: Path = THROTTLED_FILE) -> bool | None:
    """Whether a Raspberry Pi slows itself down now (undervoltage, capped or throttled); None on other boards.

    Bits 0-3 of the firmware's get_throttled are the present, bits 16-19 the past.
    """
    text = ""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError):
        vcgencmd = shutil.which("vcgencmd")
        if vcgencmd is not None:
            text = _output_of(vcgencmd, "get_throttled").removeprefix("throttled=")
    try:
        return bool(int(text.strip(), 16) & 0xF)
    except ValueError:
        return None


def rss_mb(file: Path = Path("/proc/self/statm")) -> float:
    """Resident memory of this process in MB (1e6 bytes)."""
    pages = int(file.read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _output_of(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=2, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""

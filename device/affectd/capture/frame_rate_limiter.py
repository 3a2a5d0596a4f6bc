"""Limits a source that is faster than asked to about so many frames a second."""

from __future__ import annotations

EARLY = 0.25
"""A frame may come this fraction of an interval early: a source at the asked rate jitters."""


class FrameRateLimiter:
    """Chooses which frames to take so that `rate` a second remain on average."""

    def __init__(self, rate: float) -> None:
        self._interval = 1.0 / rate
        self._due: float | None = None

    def take(self, at: float) -> bool:
        """Whether to take the frame captured at `at` (seconds, rising)."""
        if self._due is None or at > self._due + self._interval:
            self._due = at
        elif at < self._due - EARLY * self._interval:
            return False
        self._due += self._interval
        return True

"""A rate that is kept on average, with a burst that may go at once."""

from __future__ import annotations

import time


class TokenBucket:
    """So many a second; after a pause up to `burst` at once. For one thread."""

    def __init__(self, per_s: float, burst: int) -> None:
        """Begin with a whole burst."""
        self._per_s, self._burst = per_s, float(burst)
        self._allowed, self._filled_at = float(burst), time.monotonic()

    def allowed(self) -> int:
        """Return how many may go now."""
        now = time.monotonic()
        self._allowed = min(self._burst, self._allowed + (now - self._filled_at) * self._per_s)
        self._filled_at = now
        return int(self._allowed)

    def change(self, per_s: float, burst: int) -> None:
        """Go on at another rate."""
        self.allowed()
        self._per_s, self._burst = per_s, float(burst)

    def spend(self) -> None:
        """Count one that went."""
        self._allowed -= 1

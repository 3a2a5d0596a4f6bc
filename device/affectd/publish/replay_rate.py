"""How fast the backlog is sent: as fast as the broker acknowledges (additive increase, multiplicative decrease)."""

from __future__ import annotations

import time

from affectd.publish.token_bucket import TokenBucket

BEGINNING_PER_S, LEAST_PER_S = 50.0, 10.0
FASTER_PER_S = 50.0
STEP_S = 0.5
"""Between two changes at least, and as long as an acknowledgement takes."""
SLOW_S, SLOW_TIMES = 0.25, 3.0
"""An acknowledgement that takes so much longer than so many times the quickest is one of a broker that is behind."""
FEWEST, MOST = 4, 100
"""Events sent and not acknowledged yet; well below what brokers queue for one client."""
_WINDOW_S = 0.4


class ReplayRate:
    """Begins modestly, goes `FASTER_PER_S` faster as long as the broker keeps up, and half as fast when it does not.

    The events on their way grow and shrink with it. For one thread.
    """

    def __init__(self, ceiling_per_s: float) -> None:
        """Never go faster than `ceiling_per_s` events a second."""
        self._ceiling_per_s = ceiling_per_s
        self._bucket = TokenBucket(1.0, 1)
        self.begin()

    def begin(self) -> None:
        """Start over with a new connection."""
        self._quickest_s = float("inf")
        self._busy = False
        self._next_change_at = 0.0
        self._set(BEGINNING_PER_S)

    @property
    def per_s(self) -> float:
        """Events a second at present."""
        return self._per_s

    @property
    def window(self) -> int:
        """How many may be on their way at present."""
        return round(min(MOST, max(FEWEST, _WINDOW_S * self._per_s)))

    def allowed(self) -> int:
        """Return how many may go now."""
        return self._bucket.allowed()

    def spend(self) -> None:
        """Count one that went."""
        self._bucket.spend()

    def held_back(self) -> None:
        """Note that more could have gone."""
        self._busy = True

    def acknowledged(self, took_s: float) -> None:
        """The broker acknowledged an event so long after it was sent."""
        slow = took_s > SLOW_S + SLOW_TIMES * self._quickest_s
        self._quickest_s = min(self._quickest_s, took_s)
        now = time.monotonic()
        if now < self._next_change_at or not (slow or self._busy):
            return
        if slow and self._per_s <= LEAST_PER_S:
            self._quickest_s = took_s  # at this pace it is the line that is slow, not the broker that is behind
        self._set(self._per_s / 2 if slow else self._per_s + min(FASTER_PER_S, self._per_s))
        self._next_change_at = now + max(STEP_S, took_s)
        self._busy = False

    def _set(self, per_s: float) -> None:
        self._per_s = min(self._ceiling_per_s, max(LEAST_PER_S, per_s))
        self._bucket.change(self._per_s, self.window)

"""How long to wait before something that failed is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass

_MOST_STEPS = 32
"""More than from any first delay to any longest; a much larger exponent would overflow."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff: from `first_s` `factor` times as long after every failure in a row, up to `longest_s`."""

    first_s: float
    longest_s: float
    factor: float = 2.0
    jitter: float = 0.0
    """Share of the delay, 0..1, by which it is shortened at random, so that many boxes or parts do not try in step."""

    def delay_s(self, failures: int) -> float:
        """Return the seconds to wait after so many failures in a row, counted from 1."""
        delay_s = min(self.longest_s, self.first_s * self.factor ** min(failures - 1, _MOST_STEPS))
        return delay_s * random.uniform(1 - self.jitter, 1)  # noqa: S311 - jitter, not a secret

"""When a belief becomes an emotion that is announced: thresholds, minimum dwell, absence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from affectd.errors import ConfigError
from affectd.events import LABELS
from affectd.fusion.strategies import Vector


@dataclass(frozen=True, slots=True)
class _Pending:
    """A change that has not lasted long enough yet."""

    emotion: str | None
    since: float


class Hysteresis:
    """The announced emotion, and when it changes.

    An emotion stays while its probability is at least `leave`. Below that the leading emotion may
    follow once it reaches `enter`, provided it then leads, at `leave` or above, for `dwell_s`. When
    nothing leads clearly for `absent_s`, or the strategy withholds its word for `dwell_s`, the emotion
    becomes None; a slow change from one emotion to another passes through that uncertainty unannounced.
    """

    def __init__(self, *, enter: float, leave: float, dwell_s: float, absent_s: float) -> None:
        if leave > enter:
            raise ConfigError(f"fusion.leave is {leave}, above fusion.enter, {enter}: set it to {enter} or less")
        self._enter, self._leave = enter, leave
        self._dwell_s = dwell_s
        self._unsure_s = max(dwell_s, absent_s)
        self._pending: _Pending | None = None
        self.emotion: str | None = None
        """One of LABELS, or None."""
        self.since: float | None = None
        """When `emotion` began, not when its dwell was over; None before the first call."""
        self.previous: str | None = None
        self.previous_held_s = 0.0

    def observe(self, probabilities: Vector, at: float, *, withheld: bool = False) -> bool:
        """Take in the belief (7,) at the capture time `at`; true when the emotion changed, an event."""
        if self.since is None:
            self.since = at
        target = None if withheld else self._target(probabilities)
        if target == self.emotion:
            self._pending = None
            return False
        if self._pending is None or self._pending.emotion != target:
            self._pending = _Pending(target, at)
        patience = self._dwell_s if withheld or target is not None else self._unsure_s
        if at - self._pending.since < patience:
            return False
        self._change(target, self._pending.since)
        return True

    def absent(self, since: float) -> bool:
        """Take in that nobody has been there from `since` on; true when the emotion changed, an event."""
        self._pending = None
        if self.since is None:
            self.since = since
        if self.emotion is None:
            return False
        self._change(None, since)
        return True

    def _target(self, probabilities: Vector) -> str | None:
        lead = int(np.argmax(probabilities))
        if self.emotion is not None and probabilities[LABELS.index(self.emotion)] >= self._leave:
            return self.emotion
        leading_already = self._pending is not None and self._pending.emotion == LABELS[lead]
        threshold = self._leave if leading_already else self._enter
        return LABELS[lead] if probabilities[lead] >= threshold else None

    def _change(self, emotion: str | None, since: float) -> None:
        began = since if self.since is None else self.since
        self.previous, self.previous_held_s = self.emotion, max(0.0, since - began)
        self.emotion, self.since = emotion, max(since, began)
        self._pending = None

"""Takes what is sent to the device at a bounded rate: a flood of commands must not keep it from its work."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from affectd.publish.happenings import Arrived
from affectd.publish.rate import Rate

log = logging.getLogger(__name__)

TAKEN_PER_S, TAKEN_AT_ONCE = 5.0, 20
SAID_AGAIN_S = 600.0
"""A flood that goes on is told of this often."""
_LATE_S, _IDLE_S = 0.2, 1.0


class Inbox:
    """Hands on every message while they are few; in a flood only the newest of each topic, when its turn comes.

    So the last command of a flood is always obeyed. For one thread.
    """

    def __init__(self, on_message: Callable[[Arrived], None]) -> None:
        """Hand on to `on_message`."""
        self.passed_over = 0
        """Messages that a newer one overtook."""
        self._on_message = on_message
        self._rate = Rate(TAKEN_PER_S, TAKEN_AT_ONCE)
        self._silent_until = 0.0
        self._late: dict[str, Arrived] = {}
        """By topic, and so no more of them than topics we subscribe to."""

    def take(self, message: Arrived) -> None:
        """Hand the message on, now or later."""
        if not self._late and self._rate.allowed() >= 1:
            self._hand_on(message)
            return
        now = time.monotonic()
        if now >= self._silent_until:
            log.warning("messages to %s come too fast: of each topic only the newest is looked at", message.topic)
            self._silent_until = now + SAID_AGAIN_S
        self.passed_over += message.topic in self._late
        self._late[message.topic] = message

    def deliver_late(self) -> float:
        """Hand on what had to wait, if its turn has come; give in how many seconds to call again at the latest."""
        while self._late and self._rate.allowed() >= 1:
            self._hand_on(self._late.pop(next(iter(self._late))))
        return _LATE_S if self._late else _IDLE_S

    def _hand_on(self, message: Arrived) -> None:
        self._rate.spend()
        self._on_message(message)

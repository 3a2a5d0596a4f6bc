"""Rate limit of received messages: a flood of commands must not keep the device from its work."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection

from affectd.publish.connection_events import ReceivedMessage
from affectd.publish.token_bucket import TokenBucket

log = logging.getLogger(__name__)

TAKEN_PER_S, TAKEN_AT_ONCE = 5.0, 20
LOGGED_AGAIN_S = 600.0
"""A flood that goes on is logged this often."""
UNKNOWN_LOGGED = 5
"""Unknown topics that are logged in that time."""
_LATE_S, _IDLE_S = 0.2, 1.0


class MessageThrottle:
    """Hands on every message while they are few; in a flood only the newest of each topic, when its turn comes.

    So the last command of a flood is always obeyed. For one thread.
    """

    def __init__(self, on_message: Callable[[ReceivedMessage], None], known: Collection[str]) -> None:
        """Hand on to `on_message` what comes on a topic that is `known`; the rest is only logged."""
        self.ignored = 0
        """Messages on unknown topics, and those that a newer one overtook in a flood."""
        self._known = known
        self._logged: set[str] = set()
        """Unknown topics that were logged since `_logged_since`."""
        self._logged_since = float("-inf")
        self._on_message = on_message
        self._rate = TokenBucket(TAKEN_PER_S, TAKEN_AT_ONCE)
        self._silent_until = 0.0
        self._late: dict[str, ReceivedMessage] = {}
        """By topic, and so no more of them than known topics."""

    def take(self, message: ReceivedMessage) -> None:
        """Hand the message on, now or later."""
        if message.topic not in self._known:
            self._log_unknown(message.topic)
            return
        if not self._late and self._rate.allowed() >= 1:
            self._deliver(message)
            return
        now = time.monotonic()
        if now >= self._silent_until:
            log.warning("messages to %s come too fast: of each topic only the newest is looked at", message.topic)
            self._silent_until = now + LOGGED_AGAIN_S
        self.ignored += message.topic in self._late
        self._late[message.topic] = message

    def deliver_late(self) -> float:
        """Hand on what had to wait, if its turn has come; return in how many seconds to call again at the latest."""
        while self._late and self._rate.allowed() >= 1:
            self._deliver(self._late.pop(next(iter(self._late))))
        return _LATE_S if self._late else _IDLE_S

    def _log_unknown(self, topic: str) -> None:
        """Log it once a topic, of few topics: whoever sends it may send it for ever, and make up others."""
        self.ignored += 1
        now = time.monotonic()
        if now - self._logged_since > LOGGED_AGAIN_S:
            self._logged, self._logged_since = set(), now
        if topic not in self._logged and len(self._logged) < UNKNOWN_LOGGED:
            self._logged.add(topic)
            log.warning("ignored a message on %.200r: there is no such command", topic)

    def _deliver(self, message: ReceivedMessage) -> None:
        self._rate.spend()
        self._on_message(message)

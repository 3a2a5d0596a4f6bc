"""Messages in flight, and which of them to blame when the broker hangs up."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from affectd.publish.connection_events import Disconnected
from affectd.publish.size_limit import SizeLimit

HANG_UP_S = 1.0
"""A connection that ends without goodbye so soon after a message was ended at that message; later it was the network.
Twice the time that CONNECT took to be answered is added."""
SMALL = 128
"""Bytes; no broker has a limit so low, so a message that is shorter is never to blame."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message in flight."""

    topic: str
    size: int
    """Bytes of its payload."""
    at: float
    """Monotonic seconds."""
    mid: int | None
    """None with QoS 0, which nobody acknowledges."""
    alone: bool
    """Nothing else is sent until it is answered, or a broker would have hung up by now."""


class InFlight:
    """Keeps what was sent and not acknowledged, for events, documents and readings together.

    After a connection that ended without goodbye whatever was on its way is suspected, and goes alone over the next
    ones: the one at which the connection then ends is to blame.
    """

    def __init__(self) -> None:
        """Begin without a connection."""
        self.limit = SizeLimit()
        self.suspicious = False
        """Whether something was on its way when the last connection broke off."""
        self._unacknowledged: dict[int, Sent] = {}
        self._transient: dict[str, Sent] = {}
        """Topic to the newest with QoS 0."""
        self._suspected: dict[str, int] = {}
        """Topic to bytes: messages there of that size or more go alone."""
        self._blamed: dict[str, int] = {}
        """Topic to how often; who was blamed less is tried first."""
        self._taken: dict[str, int] = {}
        """Topic to the largest that this connection has carried."""
        self._waits: tuple[str, float] | None = None
        """The topic whose message waits until nothing is on its way, and until when that can take."""
        self._hang_up_s, self._at_most = HANG_UP_S, 1

    def begin(self, round_trip_s: float, at_most: int) -> None:
        """Start over with a new connection that takes so many unacknowledged messages."""
        self._hang_up_s, self._at_most = HANG_UP_S + 2 * round_trip_s, at_most
        self._waits = None
        for kept in (self._unacknowledged, self._transient, self._taken):
            kept.clear()

    def suspects(self, topic: str, size: int) -> bool:
        """Whether the broker may hang up at it."""
        doubtful = self.limit.doubtful_from
        return size >= self._suspected.get(topic, size + 1) or (doubtful is not None and size >= doubtful)

    def rank(self, topic: str, size: int) -> tuple[int, int]:
        """In which order messages go: suspects first, for all else waits for them, the smallest of them first.

        One at which a connection ended goes last: then it is seen whether larger ones are taken.
        """
        if not self.suspects(topic, size):
            return 1, 0
        blamed = self._blamed.get(topic, 0)
        return (1 + blamed if blamed else 0), size

    @property
    def full(self) -> bool:
        """Whether the broker wants to acknowledge something before it gets more with QoS 1."""
        return len(self._unacknowledged) >= self._at_most

    def may_send(self, topic: str, size: int) -> bool:
        """Whether it may go now; one that is suspected waits until nothing else is on its way."""
        now = time.monotonic()
        self._expire_suspects(now)
        recent = self._recent(now)
        if any(sent.alone for sent in recent):
            return False
        if self._waits is not None and self._waits[0] != topic and now < self._waits[1]:
            return False
        if recent and self.suspects(topic, size):
            self._waits = topic, now + self._hang_up_s
            return False
        return True

    def sent(self, mid: int | None, topic: str, size: int) -> None:
        """Take note of a message that went."""
        now = time.monotonic()
        sent = Sent(topic, size, now, mid, self.suspects(topic, size))
        if self._waits is not None and self._waits[0] == topic:
            self._waits = None
        if mid is not None:
            self._unacknowledged[mid] = sent
        elif size > self._taken.get(topic, -1):
            self._transient[topic] = sent

    def settle(self, mid: int) -> None:
        """Take note of an acknowledgement."""
        sent = self._unacknowledged.pop(mid, None)
        if sent is not None:
            self._took(sent)

    def ended(self, disconnected: Disconnected) -> Sent | None:
        """Return the message at which the connection ended; None when it was none, or is not known yet."""
        at_hand = self._recent(disconnected.at) if disconnected.hung_up else []
        if disconnected.complaint:
            at_hand = [*self._unacknowledged.values(), *self._transient.values()]
        to_blame = [sent for sent in at_hand if sent.size >= SMALL]
        self.suspicious = bool(to_blame)
        for sent in to_blame:
            self._suspected[sent.topic] = min(sent.size, self._suspected.get(sent.topic, sent.size))
        if not to_blame:
            self.limit.lost_otherwise()
        if len(to_blame) != 1:
            return None
        [sent] = to_blame
        self._blamed[sent.topic] = self._blamed.get(sent.topic, 0) + 1
        self.limit.ended(sent.topic, sent.size, max(self._taken.values(), default=0))
        return sent

    def _recent(self, now: float) -> list[Sent]:
        return [
            sent
            for sent in (*self._unacknowledged.values(), *self._transient.values())
            if now - sent.at < self._hang_up_s
        ]

    def _expire_suspects(self, now: float) -> None:
        """Whoever had its time is suspected no more: the broker would have hung up by now."""
        for topic, sent in list(self._transient.items()):
            if now - sent.at >= self._hang_up_s:
                self._took(self._transient.pop(topic))
        for mid, sent in list(self._unacknowledged.items()):
            if sent.alone and now - sent.at >= self._hang_up_s:
                self._unacknowledged[mid] = replace(sent, alone=False)
                self._clear_suspicion(sent)

    def _took(self, sent: Sent) -> None:
        self._taken[sent.topic] = max(sent.size, self._taken.get(sent.topic, 0))
        self.limit.took(sent.topic, sent.size)
        self._clear_suspicion(sent)

    def _clear_suspicion(self, sent: Sent) -> None:
        if sent.size >= self._suspected.get(sent.topic, sent.size + 1):
            del self._suspected[sent.topic]
            self._blamed.pop(sent.topic, None)

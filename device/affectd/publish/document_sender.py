"""Sends what is only worth something while it is new: retained documents, and readings with QoS 0."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from affectd.backoff import Backoff
from affectd.publish.connection import Connection, TooLargeError
from affectd.publish.connection_events import Acknowledged
from affectd.publish.in_flight import InFlight
from affectd.publish.size_limit import TRIES

log = logging.getLogger(__name__)

TRANSIENT_KEPT = 32
REFUSED_WAIT_S = 30.0
"""Documents that the broker refused are offered again so often: its ACL may have been mended since."""
COSTLY_RETRY = Backoff(first_s=2 * REFUSED_WAIT_S, longest_s=3600.0)
"""Those whose refusal costs the connection are offered ever more rarely."""
ENDED_BY_S = 3.0
"""A connection that ends so soon after a refusal was ended by it."""
_SEE_ACL = "see its ACL, which must let this user write there"
_RAISE_LIMIT = "raise its limit (mosquitto: message_size_limit, max_packet_size)"
_SEE_BOTH = "see its ACL and its limits"
_WHAT_TO_DO = {"Not authorized": _SEE_ACL, "Packet too large": _RAISE_LIMIT}
"""By the reason code of the broker's answer, in words."""
_SOON_S, _IDLE_S = 0.1, 1.0


@dataclass(frozen=True, slots=True)
class _Refused:
    """What the broker does not take on a topic."""

    size: int
    """Bytes of its payload."""
    reason: str
    what_to_do: str

    def __str__(self) -> str:
        """Format the reason; one that is about rights has nothing to do with the size."""
        return self.reason if self.what_to_do == _SEE_ACL else f"{self.reason}; {self.size} bytes"


class DocumentSender:
    """The newest document of each topic, sent on change and over every new connection; and readings.

    Of a topic whose document is still on its way the newest is kept until that one has arrived: a slow network
    sees fewer of them, and events do not queue behind. `retain` and `publish_at_most_once` may be called from
    any thread. A refusal is logged once, and again when the topic's messages were taken between. What the broker hangs
    up at is withheld like what it refuses.
    """

    def __init__(
        self, last: tuple[str, bytes], in_flight: InFlight, *, remarks: dict[str, str], expires_s: dict[str, int]
    ) -> None:
        """Begin with the topic and payload of the document that goes after all others over a new connection.

        By topic, `remarks` explain what follows when its document is refused, and `expires_s` after how many
        seconds the broker may forget it.
        """
        self.trouble: str | None = None
        """Which documents the broker does not take; None when it takes all."""
        self._in_flight, self._remarks, self._expires_s = in_flight, remarks, expires_s
        self._lock = threading.Lock()
        self._last, payload = last
        self._retained = {self._last: payload}
        self._unsent: dict[str, bytes] = {}
        """In the order they were made."""
        self._transient: deque[tuple[str, bytes]] = deque(maxlen=TRANSIENT_KEPT)
        self._unacknowledged: dict[int, str] = {}
        """mid to topic of documents that are not acknowledged yet."""
        self._refused: dict[str, _Refused] = {}
        """By topic, for as long as none of its messages is taken."""
        self._offer_again_at = 0.0
        self._last_refused, self._last_refused_at = "", float("-inf")
        """The newest refusal's topic and when it came, monotonic seconds."""
        self._costly: set[str] = set()
        """Refused topics that are not sent, for the broker ended the connection at them."""
        self._costly_refusals = 0
        """In a row."""
        self.on_cleared: Callable[[str], None] = lambda _topic: None
        """Called with each topic that was cleared at the broker."""

    def retain(self, topic: str, payload: bytes) -> None:
        """Make this the topic's retained document; an empty one has the broker forget what it retains there."""
        with self._lock:
            self._retained[topic] = self._unsent[topic] = payload

    def publish_at_most_once(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 0 when the network takes it; the oldest is dropped while it does not."""
        self._transient.append((topic, payload))

    def begin(self) -> None:
        """Start over with a new connection: it has seen nothing yet."""
        with self._lock:
            last = self._retained.pop(self._last)
            self._retained[self._last] = last  # behind those that were made since the last connection
            self._unsent = dict(self._retained)
        self._unacknowledged.clear()

    def end(self) -> bool:
        """Drop the readings that wait: the connection has gone. Return whether a refusal ended it.

        So does mosquitto 2.0.11 where max_queued_messages is 0. The topic is then withheld for a while, longer every
        time: the others and the events must get through.
        """
        self._transient.clear()
        now = time.monotonic()
        if now - self._last_refused_at > ENDED_BY_S:
            return False
        if self._last_refused in self._refused:
            self._costly.add(self._last_refused)
            self._costly_refusals += 1
            self._offer_again_at = now + COSTLY_RETRY.delay_s(self._costly_refusals)
        return True

    def settle(self, answer: Acknowledged) -> bool:
        """Process an acknowledgement; return whether it was for one of these documents."""
        topic = self._unacknowledged.pop(answer.mid, None)
        if topic is None:
            return False
        if answer.refusal is not None:
            self._last_refused, self._last_refused_at = topic, time.monotonic()
        if not self._retained[topic]:
            self._cleared(topic, answer.refusal)
        elif answer.refusal is not None:
            what_to_do = _WHAT_TO_DO.get(answer.refusal, _SEE_BOTH)
            self._refuse(topic, _Refused(len(self._retained[topic]), answer.refusal, what_to_do))
        else:
            self._taken(topic)
        return True

    def _cleared(self, topic: str, refusal: str | None) -> None:
        """Forget a topic that is no longer published to; it cannot be done more than asked for."""
        with self._lock:
            del self._retained[topic]
        if refusal is not None:
            log.warning("the retained message of an earlier run on %s stays: %s", topic, refusal)
        self.on_cleared(topic)

    def send(self, connection: Connection) -> float:
        """Send changed documents and readings; return in how many seconds to call again at the latest."""
        if self._refused and time.monotonic() >= self._offer_again_at:
            self.offer_again()
        all_went = self._send_retained(connection, set(self._unacknowledged.values()))
        while self._transient and not connection.congested:
            self._send_transient(connection, *self._transient.popleft())
        return _IDLE_S if all_went else _SOON_S

    def send_last(self, connection: Connection) -> None:
        """Send all documents that have changed, for nothing will come after them."""
        self._send_retained(connection, set())

    def offer_again(self) -> None:
        """Send once more what the broker refused."""
        self._offer_again_at = time.monotonic() + REFUSED_WAIT_S
        self._costly.clear()
        with self._lock:
            for topic in self._refused.keys() & self._retained.keys():
                self._unsent[topic] = self._retained[topic]

    def _send_retained(self, connection: Connection, not_now: set[str]) -> bool:
        """Send the documents that are due; false when one must wait."""
        with self._lock:
            due = [(topic, payload) for topic, payload in self._unsent.items() if topic not in not_now]
        for topic, payload in sorted(due, key=lambda one: self._in_flight.rank(one[0], len(one[1]))):
            if not self._must_withhold(topic, len(payload)):
                if self._in_flight.full or not self._in_flight.may_send(topic, len(payload)):
                    return False
                try:
                    mid = connection.publish(topic, payload, qos=1, retain=True, expires_s=self._expires_s.get(topic))
                except TooLargeError as error:
                    self._refuse(topic, _Refused(len(payload), str(error), _RAISE_LIMIT))
                else:
                    if mid is not None:
                        self._unacknowledged[mid] = topic
                        self._in_flight.sent(mid, topic, len(payload))
            with self._lock:
                if self._unsent.get(topic) is payload:  # not replaced since
                    del self._unsent[topic]
        return True

    def _send_transient(self, connection: Connection, topic: str, payload: bytes) -> None:
        """Send a reading, or drop what the broker does not take or what would have to wait."""
        size = len(payload)
        if self._must_withhold(topic, size) or not self._in_flight.may_send(topic, size):
            return
        try:
            if connection.publish(topic, payload, qos=0, retain=False) is not None:
                self._in_flight.sent(None, topic, size)
        except TooLargeError as error:
            self._refuse(topic, _Refused(size, str(error), _RAISE_LIMIT))
        else:
            if topic in self._refused and size >= self._refused[topic].size:
                self._taken(topic)

    def _must_withhold(self, topic: str, size: int) -> bool:
        if topic in self._costly:
            return True
        limit = self._in_flight.limit
        if limit.withholds(topic, size):
            reason = f"it hangs up at messages of {limit.doubtful_from} bytes and more"
            self._refuse(topic, _Refused(size, reason, _RAISE_LIMIT))
            return True
        if limit.bars(topic):
            self._refuse(topic, _Refused(size, f"it hung up {TRIES} times when it was sent one", _SEE_BOTH))
            return True
        return False

    def _refuse(self, topic: str, refused: _Refused) -> None:
        if not self._refused:
            self._offer_again_at = time.monotonic() + REFUSED_WAIT_S
        if topic not in self._refused:
            log.error("%s", self._complaint({topic: refused}))
        self._refused[topic] = refused
        self.trouble = self._complaint(self._refused)

    def _taken(self, topic: str) -> None:
        if self._refused.pop(topic, None) is not None:
            self._costly_refusals = 0
            self.trouble = self._complaint(self._refused) if self._refused else None

    def _complaint(self, refused: dict[str, _Refused]) -> str:
        what = ", ".join(f"{topic} ({one})" for topic, one in refused.items())
        remarks = [self._remarks[topic] for topic in refused if topic in self._remarks]
        to_do = dict.fromkeys(one.what_to_do for one in refused.values())
        return "; ".join([f"the broker does not take {what}", *to_do, *remarks])

"""Sends what is only worth something while it is new: retained documents, and readings that pass by."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextlib import suppress

from affectd.publish.connection import Connection, TooLargeError
from affectd.publish.happenings import Delivered

log = logging.getLogger(__name__)

PASSING_KEPT = 32
REFUSED_WAIT_S = 30.0
"""Documents that the broker refused are offered again so often: its ACL may have been mended since."""


class DocumentSender:
    """The newest document of each topic, sent on change and over every new connection; and readings.

    Of a topic whose document is still on its way the newest is kept until that one has arrived: a slow network
    sees fewer of them, and events do not queue behind. `retain` and `pass_on` may be called from any thread.
    A refusal is told once, and again when the topic's documents were taken between.
    """

    def __init__(self, retained: dict[str, bytes]) -> None:
        """Begin with these documents, by topic."""
        self.trouble: str | None = None
        """Which documents the broker does not take; None when it takes all."""
        self._lock = threading.Lock()
        self._retained = dict(retained)
        self._unsent: dict[str, bytes] = {}
        """In the order they were made."""
        self._passing: deque[tuple[str, bytes]] = deque(maxlen=PASSING_KEPT)
        self._on_way: dict[int, str] = {}
        """mid to topic of documents that are not acknowledged yet."""
        self._refused: dict[str, str] = {}
        """Topic to reason, for as long as none of its documents is taken."""
        self._offer_again_at = 0.0

    def retain(self, topic: str, payload: bytes) -> None:
        """Make this the topic's retained document."""
        with self._lock:
            self._retained[topic] = self._unsent[topic] = payload

    def pass_on(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 0 when the network takes it; the oldest is dropped while it does not."""
        self._passing.append((topic, payload))

    def begin(self) -> None:
        """Start over with a new connection: it has seen nothing yet."""
        with self._lock:
            self._unsent = dict(self._retained)
        self._on_way.clear()

    def end(self) -> None:
        """Forget what passes by: the connection has gone."""
        self._passing.clear()

    def settle(self, answer: Delivered) -> bool:
        """Take the broker's answer; tell whether it was to one of these documents."""
        topic = self._on_way.pop(answer.mid, None)
        if topic is None:
            return False
        if answer.refusal is not None:
            self._refuse(topic, answer.refusal)
        elif self._refused.pop(topic, None) is not None:
            self.trouble = _complaint(self._refused) if self._refused else None
        return True

    def send(self, connection: Connection) -> None:
        """Send what has changed and what passes by."""
        if self._refused and time.monotonic() >= self._offer_again_at:
            self._offer_again()
        self._send_retained(connection, set(self._on_way.values()))
        while self._passing and not connection.congested:
            topic, payload = self._passing.popleft()
            with suppress(TooLargeError):
                connection.publish(topic, payload, qos=0, retain=False)

    def send_last(self, connection: Connection) -> None:
        """Send all documents that have changed, for nothing will come after them."""
        self._send_retained(connection, set())

    def _send_retained(self, connection: Connection, not_now: set[str]) -> None:
        with self._lock:
            due = {topic: self._unsent.pop(topic) for topic in list(self._unsent) if topic not in not_now}
        for topic, payload in due.items():
            try:
                mid = connection.publish(topic, payload, qos=1, retain=True)
            except TooLargeError as error:
                self._refuse(topic, str(error))
                continue
            if mid is not None:
                self._on_way[mid] = topic

    def _refuse(self, topic: str, reason: str) -> None:
        if not self._refused:
            self._offer_again_at = time.monotonic() + REFUSED_WAIT_S
        if topic not in self._refused:
            log.error("%s", _complaint({topic: reason}))
        self._refused[topic] = reason
        self.trouble = _complaint(self._refused)

    def _offer_again(self) -> None:
        self._offer_again_at = time.monotonic() + REFUSED_WAIT_S
        with self._lock:
            for topic in self._refused:
                self._unsent[topic] = self._retained[topic]


def _complaint(refused: dict[str, str]) -> str:
    what = ", ".join(f"{topic} ({reason})" for topic, reason in refused.items())
    return f"the broker does not take {what}; see its ACL, which must let this user write there, and its limits"

"""Sends what is only worth something while it is new: retained documents, and readings that pass by."""

from __future__ import annotations

import logging
import threading
from collections import deque
from contextlib import suppress

from affectd.publish.connection import Connection, Delivered, TooLargeError

log = logging.getLogger(__name__)

PASSING_KEPT = 32


class DocumentSender:
    """The newest document of each topic, sent on change and over every new connection; and readings.

    Of a topic whose document is still on its way the newest is kept until that one has arrived: a slow network
    sees fewer of them, and events do not queue behind. `retain` and `pass_on` may be called from any thread.
    """

    def __init__(self, retained: dict[str, bytes]) -> None:
        """Begin with these documents, by topic."""
        self._lock = threading.Lock()
        self._retained = dict(retained)
        self._unsent: dict[str, bytes] = {}
        """In the order they were made."""
        self._passing: deque[tuple[str, bytes]] = deque(maxlen=PASSING_KEPT)
        self._on_way: dict[int, str] = {}
        """mid to topic of documents that are not acknowledged yet."""

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
        return self._on_way.pop(answer.mid, None) is not None

    def send(self, connection: Connection) -> None:
        """Send what has changed and what passes by."""
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
                log.warning("%s is not published: %s", topic, error)
                continue
            if mid is not None:
                self._on_way[mid] = topic

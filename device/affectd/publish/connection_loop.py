"""The loop that serves one connection to the broker: sends what waits, and handles what comes."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

from affectd.publish.connection import Connection
from affectd.publish.connection_events import (
    Acknowledged,
    ConnectionEvent,
    Disconnected,
    ReceivedMessage,
    SubscriptionRefused,
)
from affectd.publish.message_throttle import MessageThrottle
from affectd.publish.outgoing import Outgoing
from affectd.publish.topics import Topics

log = logging.getLogger(__name__)

UNACKNOWLEDGED_S = 30.0
"""A broker that pings back but acknowledges nothing for this long is connected to anew."""
EVENTS_AT_ONCE = 200
"""Connection events that are handled before something is sent again."""
OFFLINE_S = 1.0
"""How long the acknowledgement of `offline` is waited for."""


class ConnectionLoop:
    """Runs on the session's thread until the connection ends or the session is stopped."""

    def __init__(
        self,
        connection: Connection,
        topics: Topics,
        outgoing: Outgoing,
        throttle: MessageThrottle,
        *,
        wake: threading.Event,
        stopping: threading.Event,
    ) -> None:
        """Take an open connection; `wake` is set when there may be something to do."""
        self.subscription_error: str | None = None
        """Why privacy commands cannot reach us over this connection."""
        self.disconnected = False
        """Whether the other side, or the network, has ended it."""
        self._connection, self._topics, self._outgoing, self._throttle = connection, topics, outgoing, throttle
        self._wake, self._stopping = wake, stopping
        self._ended: str | None = None
        """Why the connection has ended."""
        self._answered_at = time.monotonic()

    def run(self, *, on_subscribed: Callable[[], None], on_round: Callable[[], None]) -> str:
        """Serve the connection and close it; return why it ended.

        `on_subscribed` is called once, before anything is sent, and `on_round` at least every second.
        """
        try:
            self._subscribe()
            on_subscribed()
            self._outgoing.begin(self._connection)
            wait_s = 0.0
            while self._ended is None and not self._stopping.is_set():
                self._wake.wait(wait_s)
                self._wake.clear()
                on_round()
                self._handle_events()
                self._check_acknowledgements()
                wait_s = min(self._outgoing.send(self._connection), self._throttle.deliver_late())
            if self._ended is None:
                self._publish_offline()
            return self._ended or "stopped"
        finally:
            self._connection.close()

    def _subscribe(self) -> None:
        self._connection.subscribe(self._topics.commands)
        if self._topics.discovery_prefix:
            for topic in dict.fromkeys((self._topics.home_assistant_status, self._topics.discovery_status)):
                self._connection.subscribe(topic)

    def _publish_offline(self) -> None:
        """A clean end sends no last will, so `offline` is published here; its acknowledgement is waited for briefly."""
        self._outgoing.documents.send_last(self._connection)
        mid = self._connection.publish(self._topics.availability, b"offline", qos=1, retain=True)
        deadline = time.monotonic() + OFFLINE_S
        while time.monotonic() < deadline:
            try:
                event = self._connection.events.get(timeout=0.1)
            except queue.Empty:
                continue
            self._handle(event)
            if isinstance(event, Disconnected) or (isinstance(event, Acknowledged) and event.mid == mid):
                return

    def _handle_events(self) -> None:
        for _ in range(EVENTS_AT_ONCE):
            try:
                event = self._connection.events.get_nowait()
            except queue.Empty:
                return
            self._handle(event)
        self._wake.set()  # there may be more

    def _handle(self, event: ConnectionEvent) -> None:
        if isinstance(event, Disconnected):
            self.disconnected = True
            self._ended = self._outgoing.disconnected(event)
        elif isinstance(event, ReceivedMessage):
            self._throttle.take(event)
        elif isinstance(event, SubscriptionRefused):
            self._subscription_refused(event)
        elif self._outgoing.settle(event):
            self._answered_at = time.monotonic()

    def _check_acknowledgements(self) -> None:
        """End a connection that looks well and carries nothing; a slow one acknowledges something now and then."""
        oldest = self._outgoing.events.oldest_sent_at
        if self._ended is not None or oldest is None:
            return
        if time.monotonic() - max(oldest, self._answered_at) > UNACKNOWLEDGED_S:
            self._ended = f"the broker has acknowledged nothing for {UNACKNOWLEDGED_S:g} s"

    def _subscription_refused(self, refused: SubscriptionRefused) -> None:
        if refused.topic == self._topics.commands:  # its ACL may name the one that there is
            self._connection.subscribe(self._topics.privacy_command)
            return
        log.error("the broker refuses the subscription to %s: %s; see its ACL", refused.topic, refused.reason)
        if refused.topic == self._topics.privacy_command:
            self.subscription_error = (
                f"privacy commands cannot arrive: the broker refuses {refused.topic} ({refused.reason})"
            )

"""The MQTT session: connects, sends what waits, and connects again, until it is stopped."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from affectd.backoff import Backoff
from affectd.config import MqttConfig
from affectd.errors import BrokerError
from affectd.publish.connection import connect
from affectd.publish.connection_events import ReceivedMessage
from affectd.publish.connection_loop import ConnectionLoop
from affectd.publish.message_throttle import MessageThrottle
from affectd.publish.outgoing import Outgoing
from affectd.publish.takeover import TakeoverDetector
from affectd.publish.topics import Topics
from affectd.store.outbox import Outbox

log = logging.getLogger(__name__)

RECONNECT = Backoff(first_s=0.5, longest_s=30.0, jitter=0.5)
STEADY_S = 30.0
"""A connection that lasted longer counts as good; one that is lost sooner (two devices with one id) as a failure."""
LARGEST_ARRIVING = 4096
"""Bytes of a packet that a broker may send us; commands are far shorter."""


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """How the session is now."""

    connected: bool
    protocol: str | None
    """'MQTT 5' or 'MQTT 3.1.1' while connected."""
    since: float
    """When it was connected or lost, monotonic seconds."""
    last_progress: float
    """When its thread last went round, monotonic seconds: on a connection, every second or so."""
    last_error: str | None
    """Why the last connection ended, or what the broker does not take over this one."""
    subscription_error: str | None
    """Why privacy commands cannot reach us over this connection."""
    reconnects: int
    sent: int
    """Events acknowledged by the broker."""
    denied: int
    """Times that the broker would not take an event."""
    ignored: int
    """Messages to the device that were not obeyed."""


class Session:
    """Keeps one connection alive in a thread of its own and sends what waits over it.

    Events come from the outbox, in order, and leave it with their PUBACK. Of retained documents the newest of
    each topic is sent on change and after every connect. Readings (QoS 0) are dropped while there is no connection.
    """

    def __init__(
        self,
        config: MqttConfig,
        topics: Topics,
        outbox: Outbox,
        *,
        replay_per_s: float,
        client_id: str,
        on_message: Callable[[ReceivedMessage], None],
        on_connected: Callable[[], None],
    ) -> None:
        """Prepare; events go out at most `replay_per_s` a second.

        `on_message` and `on_connected` are called on the session's thread.
        """
        self._config, self._topics, self._outbox, self._client_id = config, topics, outbox, client_id
        self._on_connected = on_connected
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._outgoing = Outgoing(outbox, topics, at_most_per_s=replay_per_s)
        known = (topics.privacy_command, topics.home_assistant_status, topics.discovery_status)
        self._throttle = MessageThrottle(on_message, known)
        self._takeover = TakeoverDetector(client_id)
        self._loop: ConnectionLoop | None = None
        """Of the newest connection, also once it has ended."""
        now = time.monotonic()
        self._status = SessionStatus(False, None, now, now, None, None, 0, 0, 0, 0)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def start(self) -> None:
        """Begin to connect; a broker that is not there is tried again and again."""
        self._thread.start()

    def stop(self, flush_s: float) -> None:
        """Send what waits for at most `flush_s`, publish `offline`, and disconnect."""
        deadline = time.monotonic() + flush_s
        while self._status.connected and self._outbox.depth and time.monotonic() < deadline:
            time.sleep(0.02)
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(flush_s + 2.0)

    @property
    def status(self) -> SessionStatus:
        """How it is now."""
        status, events, loop = self._status, self._outgoing.events, self._loop
        return replace(
            status,
            last_error=(self._outgoing.trouble or self._takeover.suspicion) if status.connected else status.last_error,
            subscription_error=None if loop is None else loop.subscription_error,
            sent=events.sent,
            denied=events.denied,
            ignored=self._throttle.ignored,
        )

    def wake(self) -> None:
        """Report that the outbox holds something new."""
        self._wake.set()

    def retain(self, topic: str, payload: bytes) -> None:
        """Make this the topic's retained document."""
        self._outgoing.documents.retain(topic, payload)
        self._wake.set()

    def clear(self, topics: Collection[str], on_cleared: Callable[[str], None]) -> None:
        """Have the broker forget what it retains on these topics; `on_cleared` is called with each that it did."""
        self._outgoing.documents.on_cleared = on_cleared
        for topic in topics:
            self._outgoing.documents.retain(topic, b"")

    def publish_at_most_once(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 0 if there is a connection; else it is dropped."""
        if self._status.connected:
            self._outgoing.documents.publish_at_most_once(topic, payload)
            self._wake.set()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began, loop = time.monotonic(), None
            self._on_round()
            try:
                loop = self._loop = self._connect()
                reason = loop.run(on_subscribed=self._on_connected, on_round=self._on_round)
            except BrokerError as error:
                reason = str(error)
            except Exception as fault:  # whatever it is, events must flow again
                log.debug("the MQTT session ended with", exc_info=fault)
                reason = f"a fault of affectd itself in the MQTT session: {type(fault).__name__}: {fault}"
            steady = loop is not None and time.monotonic() - began > STEADY_S
            cut_off = loop is not None and loop.disconnected
            if self._outgoing.documents.end() and cut_off:  # by what will not be sent again for a while
                steady, cut_off = True, False
                reason += " after it refused a message"
            failures = 1 if steady else failures + 1
            reason = self._takeover.disconnected(
                reason, cut_short=cut_off and not steady, by_message=cut_off and self._outgoing.in_flight.suspicious
            )
            self._lost(reason)
            self._on_round()
            self._stopping.wait(RECONNECT.delay_s(failures))

    def _connect(self) -> ConnectionLoop:
        connection = connect(
            self._config,
            client_id=self._client_id,
            will=(self._topics.availability, b"offline"),
            wake=self._wake.set,
            largest_arriving=LARGEST_ARRIVING,
        )
        self._note(connected=True, protocol=connection.protocol, since=time.monotonic(), last_error=None)
        log.info("connected to %s:%d with %s", self._config.host, self._config.port, connection.protocol)
        return ConnectionLoop(
            connection, self._topics, self._outgoing, self._throttle, wake=self._wake, stopping=self._stopping
        )

    def _lost(self, reason: str) -> None:
        before = self._status
        if reason != before.last_error and not self._stopping.is_set():
            log.error("%s; events wait in the outbox", reason)
        since = time.monotonic() if before.connected else before.since
        reconnects = before.reconnects + before.connected
        self._note(connected=False, protocol=None, since=since, last_error=reason, reconnects=reconnects)

    def _on_round(self) -> None:
        self._outbox.tend()
        now = time.monotonic()
        if self._status.connected and now - self._status.since > STEADY_S:
            self._takeover.held()
        self._note(last_progress=now)

    def _note(self, **changes: Any) -> None:
        self._status = replace(self._status, **changes)

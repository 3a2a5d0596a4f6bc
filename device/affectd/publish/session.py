"""The MQTT session: connects, sends what waits, and connects again, until it is stopped."""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from affectd.config import MqttConfig
from affectd.errors import BrokerError
from affectd.publish.connection import Connection, connect
from affectd.publish.connection_events import (
    Acknowledged,
    ConnectionEvent,
    Disconnected,
    ReceivedMessage,
    SubscriptionRefused,
)
from affectd.publish.document_sender import DocumentSender
from affectd.publish.event_sender import EventSender
from affectd.publish.in_flight import InFlight
from affectd.publish.message_throttle import MessageThrottle
from affectd.publish.topics import Topics
from affectd.store.outbox import Outbox

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 30.0
UNACKNOWLEDGED_S = 30.0
"""A broker that pings back but acknowledges nothing for this long is connected to anew."""
TAKEN_AT_ONCE = 200
"""Of what came from the broker, before it is looked what there is to send."""
LARGEST_ARRIVING = 4096
"""Bytes of a packet that a broker may send us; commands are far shorter."""
STALE_S = 86_400
"""What a box that has vanished said of itself may be forgotten by then; one that is there says it anew."""
SUSPICIOUS = 3
"""So many connections in a row that broke off soon: not every broker says that another client took the id."""
WITHOUT_DISCOVERY = 'without it Home Assistant does not see this box (mqtt.discovery_prefix = "" if it need not)'


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


class Session:
    r"""Keeps one connection alive in a thread of its own and sends what waits over it.

    Events come from the outbox, in order, and leave it with their PUBACK. Of retained documents the newest of
    each topic is sent on change and after every connect. Readings \(QoS 0\) are dropped while there is
    no connection.
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
        self._in_flight = InFlight()
        self._documents = DocumentSender(
            (topics.availability, b"online"),
            self._in_flight,
            remarks={topics.discovery: WITHOUT_DISCOVERY},
            expires_s=dict.fromkeys((topics.state, topics.people, topics.health), STALE_S),
        )
        self._sender = EventSender(outbox, topics.event, self._in_flight, at_most_per_s=replay_per_s)
        known = (topics.privacy_command, topics.home_assistant_status, topics.discovery_status)
        self._throttle = MessageThrottle(on_message, known)
        self._rival: str | None = None
        """A sentence while it looks as if another client had our id."""
        now = time.monotonic()
        self._status = SessionStatus(False, None, now, now, None, None, 0, 0, 0)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def start(self) -> None:
        """Begin to connect; a broker that is not there is tried again and again."""
        self._thread.start()

    def stop(self, flush_s: float) -> None:
        """Send what waits for at most `flush_s`, say `offline`, and disconnect."""
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
        status, sender = self._status, self._sender
        last_error = status.last_error
        if status.connected:
            refused = [trouble for trouble in (sender.trouble, self._documents.trouble) if trouble is not None]
            last_error = "; ".join(refused) or self._rival
        return replace(status, last_error=last_error, sent=sender.sent, denied=sender.denied)

    def wake(self) -> None:
        """Report that the outbox holds something new."""
        self._wake.set()

    def retain(self, topic: str, payload: bytes) -> None:
        """Make this the topic's retained document."""
        self._documents.retain(topic, payload)
        self._wake.set()

    def clear(self, topics: Collection[str], on_cleared: Callable[[str], None]) -> None:
        """Have the broker forget what it retains on these topics; `on_cleared` is called with each that it did."""
        self._documents.on_cleared = on_cleared
        for topic in topics:
            self._documents.retain(topic, b"")

    def publish_at_most_once(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 0 if there is a connection; else it is dropped."""
        if self._status.connected:
            self._documents.publish_at_most_once(topic, payload)
            self._wake.set()

    def _run(self) -> None:
        failures = cut_short = 0
        while not self._stopping.is_set():
            began, connected, cut_off, suspicious = time.monotonic(), False, False, False
            self._went_round()
            try:
                connection = self._connect()
                connected = True
                conversation = _Conversation(self, connection)
                reason = conversation.hold()
                cut_off, suspicious = conversation.cut_off, self._in_flight.suspicious
            except BrokerError as error:
                reason = str(error)
            except Exception as fault:  # whatever it is, events must flow again
                log.debug("the MQTT session ended with", exc_info=fault)
                reason = f"a fault of affectd itself in the MQTT session: {type(fault).__name__}: {fault}"
            # A connection that is lost at once (two devices with one id) is not tried in a tight loop.
            steady = connected and time.monotonic() - began > LONGEST_WAIT_S
            if self._documents.end() and cut_off:  # by what will not be sent again for a while
                steady, cut_off = True, False
                reason += " after it refused a message"
            failures = 0 if steady else failures + 1
            if steady or not cut_off:
                cut_short = 0
            elif not suspicious:  # else it may have been what we sent
                cut_short += 1
            rival = cut_short >= SUSPICIOUS and not suspicious
            if rival:
                reason += (
                    f", {SUSPICIOUS} times in a row soon after connecting; if another client has the same client id "
                    f"({self._client_id}), give each device an id of its own (device.id)"
                )
            self._rival = reason if rival or "same client id" in reason else None
            self._lost(reason)
            self._went_round()
            self._stopping.wait(_backoff(failures))

    def _connect(self) -> Connection:
        connection = connect(
            self._config,
            client_id=self._client_id,
            will=(self._topics.availability, b"offline"),
            wake=self._wake.set,
            largest_arriving=LARGEST_ARRIVING,
        )
        self._note(
            connected=True,
            protocol=connection.protocol,
            since=time.monotonic(),
            last_error=None,
            subscription_error=None,
        )
        log.info("connected to %s:%d with %s", self._config.host, self._config.port, connection.protocol)
        return connection

    def _lost(self, reason: str) -> None:
        before = self._status
        if reason != before.last_error and not self._stopping.is_set():
            log.error("%s; events wait in the outbox", reason)
        since = time.monotonic() if before.connected else before.since
        reconnects = before.reconnects + before.connected
        self._note(connected=False, protocol=None, since=since, last_error=reason, reconnects=reconnects)

    def _went_round(self) -> None:
        self._outbox.tend()
        self._note(last_progress=time.monotonic())

    def _note(self, **changes: Any) -> None:
        self._status = replace(self._status, **changes)


class _Conversation:
    """What is said over one connection: the session's thread lives here while it holds."""

    def __init__(self, session: Session, connection: Connection) -> None:
        self._session, self._connection = session, connection
        self.cut_off = False
        """The other side, or the network, has ended it."""
        self._closed: str | None = None
        self._answered_at = time.monotonic()

    def hold(self) -> str:
        """Talk until the connection ends or the session is stopped; give the reason."""
        try:
            return self._talk()
        finally:
            self._connection.close()

    def _talk(self) -> str:
        session, topics = self._session, self._session._topics
        self._connection.subscribe(topics.commands)
        if topics.discovery_prefix:
            for topic in dict.fromkeys((topics.home_assistant_status, topics.discovery_status)):
                self._connection.subscribe(topic)
        session._on_connected()
        session._in_flight.begin(self._connection.round_trip_s, self._connection.unacknowledged_at_most)
        session._documents.begin()
        session._sender.begin()
        wait_s = 0.0
        while self._closed is None and not session._stopping.is_set():
            session._wake.wait(wait_s)
            session._wake.clear()
            session._went_round()
            self._take_events()
            self._look_for_silence()
            self._look_for_peace()
            wait_s = min(self._send(), session._throttle.deliver_late())
        if self._closed is None:
            self._say_goodbye()
        return self._closed or "stopped"

    def _send(self) -> float:
        """Send what may be sent now; give in how many seconds to call again at the latest."""
        documents, sender = self._session._documents, self._session._sender
        if self._session._in_flight.limit.offer_again():
            documents.offer_again()
            sender.offer_again()
        return min(documents.send(self._connection), sender.send(self._connection))

    def _say_goodbye(self) -> None:
        """A clean end sends no last will, so `offline` is said here; its acknowledgement is waited for briefly."""
        topic = self._session._topics.availability
        self._session._documents.send_last(self._connection)
        mid = self._connection.publish(topic, b"offline", qos=1, retain=True)
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            try:
                event = self._connection.events.get(timeout=0.1)
            except queue.Empty:
                continue
            self._handle(event)
            if isinstance(event, Disconnected) or (isinstance(event, Acknowledged) and event.mid == mid):
                return

    def _take_events(self) -> None:
        for _ in range(TAKEN_AT_ONCE):
            try:
                event = self._connection.events.get_nowait()
            except queue.Empty:
                return
            self._handle(event)
        self._session._wake.set()  # there may be more

    def _look_for_silence(self) -> None:
        """End a connection that looks well and carries nothing; a slow one acknowledges something now and then."""
        oldest = self._session._sender.oldest_sent_at
        if self._closed is not None or oldest is None:
            return
        if time.monotonic() - max(oldest, self._answered_at) > UNACKNOWLEDGED_S:
            self._closed = f"the broker has acknowledged nothing for {UNACKNOWLEDGED_S:g} s"

    def _look_for_peace(self) -> None:
        """Nobody has cut this connection short: there is no rival any more."""
        session = self._session
        if session._rival is not None and time.monotonic() - session._status.since > LONGEST_WAIT_S:
            session._rival = None

    def _handle(self, event: ConnectionEvent) -> None:
        if isinstance(event, Disconnected):
            self._closed, self.cut_off = event.reason, True
            self._look_for_the_cause(event)
        elif isinstance(event, ReceivedMessage):
            self._session._throttle.take(event)
        elif isinstance(event, SubscriptionRefused):
            self._not_subscribed(event)
        else:
            self._session._in_flight.settle(event.mid)
            if self._session._documents.settle(event) or self._session._sender.settle(event):
                self._answered_at = time.monotonic()

    def _look_for_the_cause(self, closed: Disconnected) -> None:
        """Hold the end of the connection against the message at which it ended, if there is one."""
        sent = self._session._in_flight.ended(closed)
        if sent is not None:
            self._closed = f"{closed.reason} when {sent.topic} ({sent.size} bytes) was sent"
            if sent.mid is not None:
                self._session._sender.blame(sent.mid)

    def _not_subscribed(self, refused: SubscriptionRefused) -> None:
        if refused.topic == self._session._topics.commands:  # its ACL may name the one that there is
            self._connection.subscribe(self._session._topics.privacy_command)
            return
        log.error("the broker refuses the subscription to %s: %s; see its ACL", refused.topic, refused.reason)
        if refused.topic == self._session._topics.privacy_command:
            sentence = f"privacy commands cannot arrive: the broker refuses {refused.topic} ({refused.reason})"
            self._session._note(subscription_error=sentence)


def _backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row, spread so that devices do not march in step."""
    longest = min(LONGEST_WAIT_S, 0.5 * 2.0 ** min(max(failures - 1, 0), 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret

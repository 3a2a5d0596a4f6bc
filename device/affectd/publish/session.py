"""The MQTT session: connects, sends what waits, and connects again, until it is stopped."""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from paho.mqtt.enums import MQTTProtocolVersion

from affectd.config import MqttConfig
from affectd.errors import BrokerError
from affectd.publish.connection import Arrived, Closed, Connection, Delivered, OtherVersionError
from affectd.publish.outbox import Outbox
from affectd.publish.topics import Topics

log = logging.getLogger(__name__)

IN_FLIGHT = 20
"""Events sent and not acknowledged yet; well below what brokers queue for one client."""
LONGEST_WAIT_S = 30.0
DENIED_WAIT_S = 60.0
"""Events that the broker denied stay in the outbox and are offered again this much later."""
PASSING_KEPT = 32


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """How the session is now."""

    connected: bool
    protocol: str | None
    """'MQTT 5' or 'MQTT 3.1.1' while connected."""
    since: float
    """When it was connected or lost, monotonic seconds."""
    last_error: str | None
    reconnects: int
    sent: int
    """Events acknowledged by the broker."""
    denied: int
    """Times that the broker would not take an event."""


class Session:
    """Keeps one connection alive in a thread of its own and sends what waits over it.

    Events come from the outbox, in order, and leave it with their PUBACK. Retained documents are kept
    here, the newest of each topic, and sent on change and after every connect. Passing messages (QoS 0)
    are dropped while there is no connection.
    """

    def __init__(
        self,
        config: MqttConfig,
        topics: Topics,
        outbox: Outbox,
        *,
        client_id: str,
        on_message: Callable[[str, bytes], None],
        on_connected: Callable[[], None],
    ) -> None:
        """Prepare; `on_message` and `on_connected` are called on the session's thread."""
        self._config, self._topics, self._outbox, self._client_id = config, topics, outbox, client_id
        self._on_message, self._on_connected = on_message, on_connected
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._retained: dict[str, bytes] = {}
        self._unsent: set[str] = set()
        self._passing: deque[tuple[str, bytes]] = deque(maxlen=PASSING_KEPT)
        self._version = MQTTProtocolVersion.MQTTv5
        self._status = SessionStatus(False, None, time.monotonic(), None, 0, 0, 0)
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
        return self._status

    def wake(self) -> None:
        """Say that the outbox holds something new."""
        self._wake.set()

    def retain(self, topic: str, payload: bytes) -> None:
        """Make this the topic's retained document."""
        with self._lock:
            self._retained[topic] = payload
            self._unsent.add(topic)
        self._wake.set()

    def resend(self, topic: str) -> None:
        """Publish a retained document once more, though it has not changed."""
        with self._lock:
            if topic in self._retained:
                self._unsent.add(topic)
        self._wake.set()

    def pass_on(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 0 if there is a connection; else it is dropped."""
        if self._status.connected:
            self._passing.append((topic, payload))
            self._wake.set()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                connection = self._connect()
            except BrokerError as error:
                self._lost(str(error), complain=True)
                wait = min(LONGEST_WAIT_S, 0.5 * 2.0 ** min(failures, 10)) * random.uniform(0.5, 1.0)  # noqa: S311
                failures += 1
                self._stopping.wait(wait)
                continue
            began = time.monotonic()
            _Conversation(self, connection).hold()
            # A connection that is lost at once (two devices with one id) is not tried in a tight loop.
            failures = 0 if time.monotonic() - began > LONGEST_WAIT_S else failures + 1
            if not self._stopping.is_set():
                self._stopping.wait(min(LONGEST_WAIT_S, 0.25 * 2.0 ** min(failures, 10)) * random.uniform(0.2, 1.0))  # noqa: S311

    def _connect(self) -> Connection:
        """Connect with the version that worked last; one the broker does not speak gives way to the other."""
        try:
            return self._open(self._version)
        except OtherVersionError:
            other = (
                MQTTProtocolVersion.MQTTv311
                if self._version == MQTTProtocolVersion.MQTTv5
                else MQTTProtocolVersion.MQTTv5
            )
            connection = self._open(other)
            self._version = other
            return connection

    def _open(self, version: MQTTProtocolVersion) -> Connection:
        connection = Connection(
            self._config,
            client_id=self._client_id,
            version=version,
            will=(self._topics.availability, b"offline"),
            wake=self._wake.set,
        )
        connection.open()
        protocol = "MQTT 5" if version == MQTTProtocolVersion.MQTTv5 else "MQTT 3.1.1"
        before = self._status
        self._status = SessionStatus(
            True, protocol, time.monotonic(), None, before.reconnects, before.sent, before.denied
        )
        log.info("connected to %s:%d with %s", self._config.host, self._config.port, protocol)
        return connection

    def _lost(self, reason: str, *, complain: bool) -> None:
        before = self._status
        if complain and reason != before.last_error:
            log.error("%s; events wait in the outbox", reason)
        since = time.monotonic() if before.connected else before.since
        reconnects = before.reconnects + before.connected
        self._status = SessionStatus(False, None, since, reason, reconnects, before.sent, before.denied)
        self._passing.clear()

    def _count(self, *, sent: int = 0, denied: int = 0, error: str | None = None) -> None:
        s = self._status
        self._status = SessionStatus(
            s.connected, s.protocol, s.since, error or s.last_error, s.reconnects, s.sent + sent, s.denied + denied
        )


class _Conversation:
    """What is said over one connection: the session's thread lives here while it holds."""

    def __init__(self, session: Session, connection: Connection) -> None:
        self._session, self._connection = session, connection
        self._in_flight: dict[int, int] = {}
        """mid to seq."""
        self._sent_up_to = 0
        self._offer_again_at: float | None = None
        self._closed: str | None = None

    def hold(self) -> None:
        session, topics = self._session, self._session._topics
        subscriptions = [topics.privacy_command]
        if topics.discovery_prefix:
            subscriptions.append(topics.home_assistant_status)
        self._connection.subscribe(*subscriptions)
        session.retain(topics.availability, b"online")
        session._on_connected()
        with session._lock:
            session._unsent.update(session._retained)
        while self._closed is None and not session._stopping.is_set():
            session._wake.wait(1.0)
            session._wake.clear()
            self._take_happenings()
            self._send_retained()
            self._send_events()
            self._send_passing()
        if self._closed is None:
            self._say_goodbye()
        self._connection.close()
        session._lost(self._closed or "stopped", complain=self._closed is not None)

    def _say_goodbye(self) -> None:
        """A clean end sends no last will, so `offline` is said here; its acknowledgement is waited for briefly."""
        topic = self._session._topics.availability
        self._send_retained()
        mid = self._connection.publish(topic, b"offline", qos=1, retain=True)
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            try:
                happening = self._connection.happenings.get(timeout=0.1)
            except queue.Empty:
                continue
            self._handle(happening)
            if isinstance(happening, Closed) or (isinstance(happening, Delivered) and happening.mid == mid):
                return

    def _take_happenings(self) -> None:
        while True:
            try:
                happening = self._connection.happenings.get_nowait()
            except queue.Empty:
                return
            self._handle(happening)

    def _handle(self, happening: Delivered | Arrived | Closed) -> None:
        if isinstance(happening, Closed):
            self._closed = happening.reason
        elif isinstance(happening, Arrived):
            self._session._on_message(happening.topic, happening.payload)
        else:
            seq = self._in_flight.pop(happening.mid, None)
            if seq is None:
                return
            if happening.refusal is None:
                self._session._outbox.acknowledge(seq)
                self._session._count(sent=1)
            else:
                self._deny(happening.refusal)

    def _deny(self, refusal: str) -> None:
        sentence = (
            f"the broker does not take events on {self._session._topics.event}: {refusal}; see its ACL. "
            "They stay in the outbox"
        )
        if self._session.status.last_error != sentence:
            log.error("%s", sentence)
        self._session._count(denied=1, error=sentence)
        if self._offer_again_at is None:
            self._offer_again_at = time.monotonic() + DENIED_WAIT_S

    def _send_retained(self) -> None:
        with self._session._lock:
            unsent = [(topic, self._session._retained[topic]) for topic in sorted(self._session._unsent)]
            self._session._unsent.clear()
        for topic, payload in unsent:
            self._connection.publish(topic, payload, qos=1, retain=True)

    def _send_events(self) -> None:
        if self._offer_again_at is not None and time.monotonic() >= self._offer_again_at:
            self._offer_again_at, self._sent_up_to = None, 0
        room = IN_FLIGHT - len(self._in_flight)
        if room <= 0:
            return
        for stored in self._session._outbox.pending(self._sent_up_to, room):
            mid = self._connection.publish(self._session._topics.event, stored.payload, qos=1, retain=False)
            if mid is None:
                return
            self._in_flight[mid] = stored.seq
            self._sent_up_to = stored.seq

    def _send_passing(self) -> None:
        while self._session._passing:
            topic, payload = self._session._passing.popleft()
            self._connection.publish(topic, payload, qos=0, retain=False)

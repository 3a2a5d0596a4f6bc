"""The MQTT session: connects, sends what waits, and connects again, until it is stopped."""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from affectd.config import MqttConfig
from affectd.errors import BrokerError, OutboxError
from affectd.publish.connection import Arrived, Closed, Connection, Delivered, connect
from affectd.publish.outbox import Outbox
from affectd.publish.topics import Topics

log = logging.getLogger(__name__)

IN_FLIGHT = 20
"""Events sent and not acknowledged yet; well below what brokers queue for one client."""
LONGEST_WAIT_S = 30.0
DENIED_WAIT_S = 60.0
"""Events that the broker denied stay in the outbox and are offered again this much later."""
OUTBOX_WAIT_S = 2.0
"""An outbox that could not be read or written is tried again this much later."""
UNACKNOWLEDGED_S = 30.0
"""A broker that pings back but acknowledges nothing for this long is connected to anew."""
PASSING_KEPT = 32
SUSPICIOUS = 3
"""So many connections in a row that broke off soon: not every broker says that another client took the id."""


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
        on_message: Callable[[Arrived], None],
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

    def pass_on(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 0 if there is a connection; else it is dropped."""
        if self._status.connected:
            self._passing.append((topic, payload))
            self._wake.set()

    def _run(self) -> None:
        failures = cut_short = 0
        while not self._stopping.is_set():
            began, connected = time.monotonic(), False
            try:
                connection = self._connect()
                connected = True
                reason = _Conversation(self, connection).hold()
            except BrokerError as error:
                reason = str(error)
            except Exception as fault:  # whatever it is, events must flow again
                log.debug("the MQTT session ended with", exc_info=fault)
                reason = f"a fault of affectd itself in the MQTT session: {type(fault).__name__}: {fault}"
            # A connection that is lost at once (two devices with one id) is not tried in a tight loop.
            steady = connected and time.monotonic() - began > LONGEST_WAIT_S
            failures = 0 if steady else failures + 1
            cut_short = cut_short + 1 if connected and not steady else 0
            if cut_short >= SUSPICIOUS:
                reason += (
                    f", {SUSPICIOUS} times in a row soon after connecting; if another client has the same client id "
                    f"({self._client_id}), give each device an id of its own (device.id)"
                )
            self._lost(reason)
            self._stopping.wait(_backoff(failures))

    def _connect(self) -> Connection:
        connection = connect(
            self._config,
            client_id=self._client_id,
            will=(self._topics.availability, b"offline"),
            wake=self._wake.set,
        )
        self._note(connected=True, protocol=connection.protocol, since=time.monotonic(), last_error=None)
        log.info("connected to %s:%d with %s", self._config.host, self._config.port, connection.protocol)
        return connection

    def _lost(self, reason: str) -> None:
        before = self._status
        if reason != before.last_error and not self._stopping.is_set():
            log.error("%s; events wait in the outbox", reason)
        since = time.monotonic() if before.connected else before.since
        reconnects = before.reconnects + before.connected
        self._note(connected=False, protocol=None, since=since, last_error=reason, reconnects=reconnects)
        self._passing.clear()

    def _note(self, **changes: Any) -> None:
        self._status = replace(self._status, **changes)


class _Conversation:
    """What is said over one connection: the session's thread lives here while it holds."""

    def __init__(self, session: Session, connection: Connection) -> None:
        self._session, self._connection = session, connection
        self._in_flight: dict[int, tuple[int, float]] = {}
        """mid to seq and when it was sent, oldest first."""
        self._sent_up_to = 0
        self._offer_again_at: float | None = None
        self._closed: str | None = None

    def hold(self) -> str:
        """Talk until the connection ends or the session is stopped; give the reason."""
        try:
            return self._talk()
        finally:
            self._connection.close()

    def _talk(self) -> str:
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
            self._look_for_silence()
            self._send_retained()
            self._send_events()
            self._send_passing()
        if self._closed is None:
            self._say_goodbye()
        return self._closed or "stopped"

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

    def _look_for_silence(self) -> None:
        """End a connection that looks well and carries nothing."""
        oldest = next(iter(self._in_flight.values()), None)
        if self._closed is None and not self._connection.alive:
            self._closed = "the broker sent what is no MQTT"
        elif oldest is not None and time.monotonic() - oldest[1] > UNACKNOWLEDGED_S:
            self._closed = f"the broker has not acknowledged an event for {UNACKNOWLEDGED_S:g} s"

    def _handle(self, happening: Delivered | Arrived | Closed) -> None:
        if isinstance(happening, Closed):
            self._closed = happening.reason
        elif isinstance(happening, Arrived):
            self._session._on_message(happening)
        else:
            seq, _ = self._in_flight.pop(happening.mid, (None, 0.0))
            if seq is None:
                return
            if happening.refusal is None:
                self._settle(seq)
            else:
                self._deny(happening.refusal)

    def _settle(self, seq: int) -> None:
        try:
            self._session._outbox.acknowledge(seq)
        except OutboxError as error:
            self._pause_events(str(error), OUTBOX_WAIT_S)
            return
        self._session._note(sent=self._session.status.sent + 1)
        if self._offer_again_at is None:
            self._session._note(last_error=None)

    def _deny(self, refusal: str) -> None:
        sentence = (
            f"the broker does not take events on {self._session._topics.event}: {refusal}; see its ACL. "
            "They stay in the outbox"
        )
        self._session._note(denied=self._session.status.denied + 1)
        self._pause_events(sentence, DENIED_WAIT_S)

    def _pause_events(self, sentence: str, wait_s: float) -> None:
        """Send no more events for so long, and then all that wait, in order; everything else goes on."""
        if self._session.status.last_error != sentence:
            log.error("%s", sentence)
        self._session._note(last_error=sentence)
        if self._offer_again_at is None:
            self._offer_again_at = time.monotonic() + wait_s

    def _send_retained(self) -> None:
        with self._session._lock:
            unsent = [(topic, self._session._retained[topic]) for topic in sorted(self._session._unsent)]
            self._session._unsent.clear()
        for topic, payload in unsent:
            self._connection.publish(topic, payload, qos=1, retain=True)

    def _send_events(self) -> None:
        if self._offer_again_at is not None:
            if self._in_flight or time.monotonic() < self._offer_again_at:
                return
            self._offer_again_at, self._sent_up_to = None, 0
        room = IN_FLIGHT - len(self._in_flight)
        if room <= 0:
            return
        try:
            waiting = self._session._outbox.pending(self._sent_up_to, room)
        except OutboxError as error:
            self._pause_events(str(error), OUTBOX_WAIT_S)
            return
        for stored in waiting:
            mid = self._connection.publish(self._session._topics.event, stored.payload, qos=1, retain=False)
            if mid is None:
                return
            self._in_flight[mid] = (stored.seq, time.monotonic())
            self._sent_up_to = stored.seq

    def _send_passing(self) -> None:
        while self._session._passing:
            topic, payload = self._session._passing.popleft()
            self._connection.publish(topic, payload, qos=0, retain=False)


def _backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row, spread so that devices do not march in step."""
    longest = min(LONGEST_WAIT_S, 0.5 * 2.0 ** min(max(failures - 1, 0), 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret

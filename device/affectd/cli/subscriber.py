"""The MQTT subscriber of `listen`, `demo`, `bench` and `fleet`, apart from the daemon's session."""

from __future__ import annotations

import logging
import queue
import secrets
import threading
import time
from collections.abc import Sequence
from types import TracebackType

from affectd.backoff import Backoff
from affectd.config import MqttConfig
from affectd.errors import BrokerError
from affectd.publish.connection import Connection, connect
from affectd.publish.connection_events import Disconnected, ReceivedMessage, SubscriptionRefused

log = logging.getLogger(__name__)

RECONNECT = Backoff(first_s=0.5, longest_s=8.0, jitter=0.5)


class Subscriber:
    """A context manager: connected and subscribed inside; connects again by itself, and logs it."""

    def __init__(self, config: MqttConfig, topics: Sequence[str], *, patience_s: float | None = None) -> None:
        """Remember where to connect, and the topics (wildcards allowed) to subscribe to.

        The first connection must be there within `patience_s`; None: as long as the network takes.
        """
        self._config = config
        self._topics = topics
        self._patience_s = patience_s
        self._client_id = f"affectd-listen-{secrets.token_hex(4)}"
        self._connection: Connection | None = None
        """None while it is lost and another is tried for."""
        self._tried: queue.SimpleQueue[Connection | Exception] = queue.SimpleQueue()
        self._failures = 0
        """In a row: tries that failed, and connections over which nothing came."""
        self._left = False

    def __enter__(self) -> Subscriber:
        """Connect with MQTT 5, or 3.1.1 where the broker knows no better. Raises BrokerError."""
        self._try(after_s=0)
        try:
            outcome = self._tried.get(timeout=self._patience_s)
        except queue.Empty:
            self._left = True
            place = f"broker {self._config.host}:{self._config.port}"
            raise BrokerError(f"{place}: no answer within {self._patience_s:g} s; is the host reachable?") from None
        if isinstance(outcome, Exception):
            raise outcome
        self._connection = outcome
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the broker."""
        self._left = True
        if self._connection is not None:
            self._connection.close()

    @property
    def connected(self) -> bool:
        """Whether the broker was there when it was last looked at."""
        return self._connection is not None

    @property
    def protocol(self) -> str:
        """'MQTT 5' or 'MQTT 3.1.1'; empty while there is no connection."""
        return "" if self._connection is None else self._connection.protocol

    def receive(self, timeout_s: float) -> ReceivedMessage | None:
        """Wait for the next message; None when none came in time, also while the broker is away."""
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            try:
                if self._connection is None:
                    self._handle_outcome(self._tried.get(timeout=left))
                    continue
                event = self._connection.events.get(timeout=left)
            except queue.Empty:
                return None
            if isinstance(event, ReceivedMessage):
                self._failures = 0
                return event
            if isinstance(event, SubscriptionRefused):
                log.warning("the broker refuses %s: %s", event.topic, event.reason)
            elif isinstance(event, Disconnected):
                log.warning("broker lost (%s); connecting again", event.reason)
                self._connection.close()
                self._connection = None
                self._try_again()
        return None

    def _handle_outcome(self, outcome: Connection | Exception) -> None:
        """Go on with a new connection, or try again after a fault of the broker or the network."""
        if isinstance(outcome, BrokerError):
            log.warning("%s", outcome)
            self._try_again()
        elif isinstance(outcome, Exception):
            raise outcome
        else:
            log.warning("connected again")
            self._connection = outcome

    def _try_again(self) -> None:
        self._failures += 1
        self._try(after_s=RECONNECT.delay_s(self._failures))

    def _try(self, *, after_s: float) -> None:
        """Connect on a thread of its own: a network that swallows everything holds up nobody who has a deadline."""

        def attempt() -> None:
            time.sleep(after_s)
            outcome: Connection | Exception
            try:
                outcome = self._connect()
            except Exception as error:
                outcome = error
            if self._left and not isinstance(outcome, Exception):
                outcome.close()
            self._tried.put(outcome)

        threading.Thread(target=attempt, name="connect", daemon=True).start()

    def _connect(self) -> Connection:
        connection = connect(self._config, client_id=self._client_id, will=None, wake=lambda: None)
        connection.subscribe_in_turn([(topic, _qos(topic)) for topic in self._topics])
        return connection


def _qos(topic: str) -> int:
    """Return 1 for events, 0 for what the broker keeps.

    Of many devices that is much at once, and mosquitto queues no more than 1000 messages of QoS 1 for a client.
    """
    return 1 if topic.endswith("/event") else 0

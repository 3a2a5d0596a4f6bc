"""An MQTT subscriber of its own, apart from the daemon's session: what `listen`, `demo` and `bench` hear with."""

from __future__ import annotations

import logging
import queue
import secrets
import time
from collections.abc import Sequence
from types import TracebackType

from affectd.config import MqttConfig
from affectd.errors import BrokerError
from affectd.publish.connection import Connection, connect
from affectd.publish.happenings import Arrived, Closed, Unsubscribed

log = logging.getLogger(__name__)

RECONNECT_S = 2.0


class Subscriber:
    """A context manager: connected and subscribed inside; connects again by itself, saying so in the log."""

    def __init__(self, config: MqttConfig, topics: Sequence[str]) -> None:
        """Remember where to connect, and the topics (wildcards allowed) to subscribe to."""
        self._config = config
        self._topics = topics
        self._client_id = f"affectd-listen-{secrets.token_hex(4)}"

    def __enter__(self) -> Subscriber:
        """Connect with MQTT 5, or 3.1.1 where the broker knows no better. Raises BrokerError."""
        self._connection = self._connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the broker."""
        self._connection.close()

    @property
    def protocol(self) -> str:
        """'MQTT 5' or 'MQTT 3.1.1'."""
        return self._connection.protocol

    def receive(self, timeout_s: float) -> Arrived | None:
        """Wait for the next message; None when none came in time."""
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            try:
                happening = self._connection.happenings.get(timeout=left)
            except queue.Empty:
                return None
            if isinstance(happening, Arrived):
                return happening
            if isinstance(happening, Unsubscribed):
                log.warning("the broker refuses %s: %s", happening.topic, happening.reason)
            elif isinstance(happening, Closed):
                log.warning("broker lost (%s); connecting again", happening.reason)
                self._reconnect()
        return None

    def _reconnect(self) -> None:
        """Connect again, however long it takes."""
        self._connection.close()
        while True:
            try:
                self._connection = self._connect()
            except BrokerError as error:
                log.warning("%s", error)
                time.sleep(RECONNECT_S)
            else:
                log.warning("connected again")
                return

    def _connect(self) -> Connection:
        connection = connect(self._config, client_id=self._client_id, will=None, wake=lambda: None)
        for topic in self._topics:
            connection.subscribe(topic)
        return connection

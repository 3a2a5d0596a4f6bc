"""What a broker keeps of one box, and clearing it."""

from __future__ import annotations

import queue
import secrets
import time
from collections import deque
from collections.abc import Sequence

from affectd.config import MqttConfig
from affectd.errors import BrokerError
from affectd.publish.connection import Connection, connect
from affectd.publish.connection_events import Acknowledged, ConnectionEvent, Disconnected, ReceivedMessage
from affectd.publish.topics import Topics

QUIET_S = 1.0
"""A broker sends what it keeps at once after a subscription; after so long a silence there is no more."""
DEADLINE_S = 20.0


def kept(config: MqttConfig, topics: Topics) -> dict[str, bytes]:
    """Return the retained messages of a box by topic, as far as we may read them. Raises BrokerError."""
    connection = _connected(config)
    try:
        connection.subscribe(f"{topics.root}/#")
        if topics.discovery_prefix:
            connection.subscribe(topics.discovery)
        found: dict[str, bytes] = {}
        end = time.monotonic() + DEADLINE_S
        while (event := _next(connection, min(QUIET_S, end - time.monotonic()))) is not None:
            if isinstance(event, Disconnected):
                raise BrokerError(f"the broker ended the connection: {event.reason}")
            if isinstance(event, ReceivedMessage) and event.retained:
                found[event.topic] = event.payload
        return found
    finally:
        connection.close()


def clear(config: MqttConfig, topics: Sequence[str]) -> dict[str, str]:
    """Have the broker forget what it keeps on these topics; return its refusals by topic. Raises BrokerError.

    Over MQTT 3.1.1 a broker refuses in silence: `kept` shows what is still there. Some end the connection at a
    refusal (mosquitto 2.0.11 where max_queued_messages is 0): the others are cleared over another one.
    """
    refusals: dict[str, str] = {}
    left = deque(topics)
    while left:
        connection = _connected(config)
        try:
            while left:
                topic = left.popleft()
                mid = connection.publish(topic, b"", qos=1, retain=True)
                refusal = "the connection broke off" if mid is None else _answer(connection, mid)
                if refusal is not None:
                    refusals[topic] = refusal
                    break
        finally:
            connection.close()
    return refusals


def _answer(connection: Connection, mid: int) -> str | None:
    """Return why a message was refused, None when it was taken. Raises BrokerError."""
    end = time.monotonic() + DEADLINE_S
    while (event := _next(connection, end - time.monotonic())) is not None:
        if isinstance(event, Acknowledged) and event.mid == mid:
            return event.refusal
        if isinstance(event, Disconnected):
            return event.reason
    raise BrokerError(f"the broker did not answer within {DEADLINE_S:g} s; try again")


def _connected(config: MqttConfig) -> Connection:
    return connect(config, client_id=f"affectd-forget-{secrets.token_hex(4)}", will=None, wake=lambda: None)


def _next(connection: Connection, timeout_s: float) -> ConnectionEvent | None:
    """Return the next event of the connection; None when none comes in time."""
    try:
        return connection.events.get(timeout=max(0.0, timeout_s))
    except queue.Empty:
        return None

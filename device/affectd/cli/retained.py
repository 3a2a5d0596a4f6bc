"""What a broker keeps of one box, and clearing it."""

from __future__ import annotations

import queue
import secrets
import time

from affectd.config import MqttConfig
from affectd.errors import BrokerError
from affectd.publish.connection import Connection, connect
from affectd.publish.happenings import Arrived, Closed, Delivered, Happening
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
        while (happening := _next(connection, min(QUIET_S, end - time.monotonic()))) is not None:
            if isinstance(happening, Arrived) and happening.retained:
                found[happening.topic] = happening.payload
        return found
    finally:
        connection.close()


def clear(config: MqttConfig, topics: list[str]) -> dict[str, str]:
    """Have the broker forget what it keeps on these topics; return its refusals by topic. Raises BrokerError.

    Over MQTT 3.1.1 a broker refuses in silence: `kept` tells what is still there.
    """
    connection = _connected(config)
    try:
        waiting = {connection.publish(topic, b"", qos=1, retain=True): topic for topic in topics}
        refusals: dict[str, str] = {}
        end = time.monotonic() + DEADLINE_S
        while waiting:
            happening = _next(connection, end - time.monotonic())
            if happening is None:
                raise BrokerError(f"broker {config.host}:{config.port}: no answer within {DEADLINE_S:g} s; try again")
            if isinstance(happening, Delivered) and (topic := waiting.pop(happening.mid, None)) and happening.refusal:
                refusals[topic] = happening.refusal
        return refusals
    finally:
        connection.close()


def _connected(config: MqttConfig) -> Connection:
    return connect(config, client_id=f"affectd-forget-{secrets.token_hex(4)}", will=None, wake=lambda: None)


def _next(connection: Connection, timeout_s: float) -> Happening | None:
    """Return what happens next on the connection; None when nothing does in time. Raises BrokerError at its end."""
    try:
        happening = connection.happenings.get(timeout=max(0.0, timeout_s))
    except queue.Empty:
        return None
    if isinstance(happening, Closed):
        raise BrokerError(f"the broker ended the connection: {happening.reason}")
    return happening

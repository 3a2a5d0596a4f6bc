"""A broker that accepts everybody and then misbehaves, which no real one can be told to do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from types import TracebackType

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ = 1, 3, 8, 12
PAYLOAD_FORMAT_INVALID = 0x99
PACKET_TOO_LARGE, SERVER_SHUTTING_DOWN, SESSION_TAKEN_OVER = 0x95, 0x8B, 0x8E
"""Reason codes of DISCONNECT."""
GRANTED, NOT_AUTHORIZED = 1, 0x87
"""Reason codes of SUBACK."""
CONNACK = bytes([0x20, 3, 0, 0, 0])
CONNACK_311 = bytes([0x20, 2, 0, 0])
CONNACK_OTHER_VERSION = bytes([0x20, 2, 0, 1])
LEVEL, MQTT_311 = 6, 4
"""Where CONNECT says the version of the protocol, and 3.1.1 there."""
QOS_BITS = 0x06
PINGRESP = bytes([0xD0, 0])
NO_TEXT_FOR_A_TOPIC = bytes([0x30, 8, 0, 4, 0xFF, 0xFE, 0xFF, 0xFE, 0, 0x78])
"""A PUBLISH whose topic is not UTF-8."""


class OddBroker:
    """Speaks just enough MQTT 5 to be believed; never acknowledges a PUBLISH unless told what to refuse."""

    def __init__(
        self,
        *,
        suback: int = GRANTED,
        after_subscribe: bytes = b"",
        refuses: Callable[[bytes], bool] | None = None,
        hangs_up_at: Callable[[str, bytes], bool] = lambda _topic, _payload: False,
        mqtt311: bool = False,
    ) -> None:
        """Take the reason code of every SUBACK, what to send after it, and which payloads to refuse, if any.

        It hangs up without a word at topics and payloads that `hangs_up_at` is true of, and knows
        nothing but 3.1.1 if `mqtt311`.
        """
        self._suback, self._after_subscribe, self.refuses = suback, after_subscribe, refuses
        self.hangs_up_at, self._mqtt311 = hangs_up_at, mqtt311
        self.published: list[tuple[str, bytes]] = []
        """Topic and payload of all that came and was no reason to hang up."""
        self.goodbye: bytes | None = None
        """What is sent before hanging up at whatever is published without retain; None: no hanging up."""
        self.accepted: list[bytes] = []
        """Payloads of what was published with QoS 1 and not refused, without retain."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0

    def __enter__(self) -> OddBroker:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            try:
                while head := stream.read(1):
                    body = stream.read(_length(stream.read))
                    kind = head[0] >> 4
                    if kind == CONNECT and self._mqtt311 and body[LEVEL] != MQTT_311:
                        connection.sendall(CONNACK_OTHER_VERSION)
                        return
                    if kind == PUBLISH and self.hangs_up_at(*self._read(head[0], body)):
                        return
                    if kind == PUBLISH:
                        self.published.append(self._read(head[0], body))
                    if kind == CONNECT:
                        connection.sendall(CONNACK_311 if self._mqtt311 else CONNACK)
                    elif kind == SUBSCRIBE:
                        properties = [] if self._mqtt311 else [0]
                        answer = [*body[:2], *properties, self._suback]
                        connection.sendall(bytes([0x90, len(answer), *answer]) + self._after_subscribe)
                    elif kind == PUBLISH and self.goodbye is not None and not head[0] & 1:
                        connection.sendall(self.goodbye)
                        return
                    elif kind == PUBLISH and head[0] & QOS_BITS and self.refuses is not None:
                        self._answer(connection, body, retained=bool(head[0] & 1))
                    elif kind == PINGREQ:
                        connection.sendall(PINGRESP)
            except (OSError, IndexError):
                return

    def _read(self, head: int, body: bytes) -> tuple[str, bytes]:
        """Return topic and payload of a PUBLISH."""
        after_topic = 2 + int.from_bytes(body[:2], "big")
        rest = body[after_topic + (2 if head & QOS_BITS else 0) :]
        return body[2:after_topic].decode(), rest if self._mqtt311 else _without_properties(rest)

    def _answer(self, connection: socket.socket, body: bytes, *, retained: bool) -> None:
        assert self.refuses is not None
        after_topic = 2 + int.from_bytes(body[:2], "big")
        mid, rest = body[after_topic : after_topic + 2], body[after_topic + 2 :]
        payload = rest if self._mqtt311 else _without_properties(rest)
        refused = self.refuses(payload)
        if not (refused or retained):
            self.accepted.append(payload)
        reason = [] if self._mqtt311 else [PAYLOAD_FORMAT_INVALID if refused else 0]
        connection.sendall(bytes([0x40, 2 + len(reason), *mid, *reason]))


def disconnect(reason: int) -> bytes:
    """Return a DISCONNECT with this reason code."""
    return bytes([0xE0, 2, reason, 0])


def _without_properties(rest: bytes) -> bytes:
    """Return the payload that follows the properties of a PUBLISH of MQTT 5, of fewer than 128 bytes."""
    return rest[1 + rest[0] :]


def _length(read: Callable[[int], bytes]) -> int:
    """Read MQTT's variable byte integer."""
    value, shift = 0, 0
    while True:
        byte = read(1)[0]
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value

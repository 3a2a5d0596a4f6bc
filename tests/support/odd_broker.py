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
PINGRESP = bytes([0xD0, 0])
NO_TEXT_FOR_A_TOPIC = bytes([0x30, 8, 0, 4, 0xFF, 0xFE, 0xFF, 0xFE, 0, 0x78])
"""A PUBLISH whose topic is not UTF-8."""


class OddBroker:
    """Speaks just enough MQTT 5 to be believed; never acknowledges a PUBLISH unless told what to refuse."""

    def __init__(
        self, *, suback: int = GRANTED, after_subscribe: bytes = b"", refuses: Callable[[bytes], bool] | None = None
    ) -> None:
        """Take the reason code of every SUBACK, what to send after it, and which payloads to refuse, if any."""
        self._suback, self._after_subscribe, self.refuses = suback, after_subscribe, refuses
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
                    if kind == CONNECT:
                        connection.sendall(CONNACK)
                    elif kind == SUBSCRIBE:
                        connection.sendall(bytes([0x90, 4, *body[:2], 0, self._suback]) + self._after_subscribe)
                    elif kind == PUBLISH and self.goodbye is not None and not head[0] & 1:
                        connection.sendall(self.goodbye)
                        return
                    elif kind == PUBLISH and self.refuses is not None:
                        self._answer(connection, body, retained=bool(head[0] & 1))
                    elif kind == PINGREQ:
                        connection.sendall(PINGRESP)
            except (OSError, IndexError):
                return

    def _answer(self, connection: socket.socket, body: bytes, *, retained: bool) -> None:
        assert self.refuses is not None
        after_topic = 2 + int.from_bytes(body[:2], "big")
        mid, payload = body[after_topic : after_topic + 2], body[after_topic + 3 :]  # one byte says: no properties
        refused = self.refuses(payload)
        if not (refused or retained):
            self.accepted.append(payload)
        connection.sendall(bytes([0x40, 3, *mid, PAYLOAD_FORMAT_INVALID if refused else 0]))


def disconnect(reason: int) -> bytes:
    """Give a DISCONNECT with this reason code."""
    return bytes([0xE0, 2, reason, 0])


def _length(read: Callable[[int], bytes]) -> int:
    """Read MQTT's variable byte integer."""
    value, shift = 0, 0
    while True:
        byte = read(1)[0]
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value

"""A broker that accepts everybody and then misbehaves, which no real one can be told to do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from types import TracebackType

CONNECT, SUBSCRIBE, PINGREQ = 1, 8, 12
CONNACK = bytes([0x20, 3, 0, 0, 0])
PINGRESP = bytes([0xD0, 0])
NO_TEXT_FOR_A_TOPIC = bytes([0x30, 8, 0, 4, 0xFF, 0xFE, 0xFF, 0xFE, 0, 0x78])
"""A PUBLISH whose topic is not UTF-8."""


class OddBroker:
    """Speaks just enough MQTT 5 to be believed; never acknowledges a PUBLISH."""

    def __init__(self, *, after_subscribe: bytes = b"") -> None:
        self._after_subscribe = after_subscribe
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
                        connection.sendall(bytes([0x90, 5, *body[:2], 0, 1, 1]) + self._after_subscribe)
                    elif kind == PINGREQ:
                        connection.sendall(PINGRESP)
            except (OSError, IndexError):
                return


def _length(read: Callable[[int], bytes]) -> int:
    """Read MQTT's variable byte integer."""
    value, shift = 0, 0
    while True:
        byte = read(1)[0]
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value

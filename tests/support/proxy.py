"""A network between a client and a broker that a test can make slow, or cut without a word."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time

_CHUNK = 512
_KEPT = 16
"""Chunks on their way in one direction; with more the sender has to wait, as on a real line."""


class Proxy:
    """Takes connections on `port` while entered, and passes them on to the broker's.

    `delay_s` is how long everything takes on its way, in each direction, `bytes_per_s` how much gets through;
    both may be changed at any time.
    """

    def __init__(self, broker_port: int, *, delay_s: float = 0.0, bytes_per_s: float = float("inf")) -> None:
        self.delay_s, self.bytes_per_s = delay_s, bytes_per_s
        self.connections = 0
        """Taken so far."""
        self.to_broker = bytearray()
        """All that the broker was sent."""
        self._broker_port = broker_port
        self._sockets: list[socket.socket] = []
        self._line = threading.Event()
        """Stands for the line that connections are on: set when it is cut."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._listener, *self._sockets):
            end.close()

    def strand(self) -> None:
        """Let all connections there are carry nothing any more, neither bytes nor an end; new ones work."""
        self._line.set()
        self._line = threading.Event()

    def cut(self) -> None:
        """End all connections there are, for both sides at once; new ones work."""
        sockets, self._sockets = self._sockets, []
        for end in sockets:
            with contextlib.suppress(OSError):  # ended already
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                self.connections += 1
                broker = socket.create_connection(("127.0.0.1", self._broker_port), 5)
            except ConnectionError:  # no broker behind it
                client.close()
                continue
            except OSError:
                return
            broker.settimeout(None)
            self._sockets += [client, broker]
            for source, target in ((client, broker), (broker, client)):
                on_way: queue.Queue[tuple[float, bytes]] = queue.Queue(_KEPT)
                threading.Thread(target=self._take, args=(source, on_way), daemon=True).start()
                sent = self.to_broker if target is broker else bytearray()
                threading.Thread(target=self._give, args=(target, on_way, self._line, sent), daemon=True).start()

    def _take(self, source: socket.socket, on_way: queue.Queue[tuple[float, bytes]]) -> None:
        data = b"begin"
        while data:
            try:
                data = source.recv(_CHUNK)
            except OSError:
                data = b""
            on_way.put((time.monotonic() + self.delay_s, data))

    def _give(
        self, target: socket.socket, on_way: queue.Queue[tuple[float, bytes]], cut: threading.Event, sent: bytearray
    ) -> None:
        while True:
            due, data = on_way.get()
            if cut.wait(max(0.0, due - time.monotonic())):
                return
            try:
                if not data:
                    target.shutdown(socket.SHUT_RDWR)
                    return
                target.sendall(data)
                sent += data
            except OSError:
                return
            if cut.wait(len(data) / self.bytes_per_s):
                return

"""A camera on the network: an HTTP server of MJPEG that dies, freezes, stands still, sends rubbish or changes size."""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import socket
import threading
import time
from collections.abc import Iterator
from functools import cache

import cv2
import numpy as np

from support.scenes import scene

FPS = 10
HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=picture\r\n\r\n"
WHO_ARE_YOU = b'HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm="camera"\r\nContent-Length: 0\r\n\r\n'
VARIANTS = 5
"""Pictures of the same scene that differ in their noise, as a sensor's do."""


class StreamServer:
    """Streams while entered, on a loopback port that it keeps: a second with somebody in the picture, one with nobody.

    What it is told holds for all connections, those that are open and those that come.
    """

    def __init__(self) -> None:
        # Bound, never listening: nobody else gets the port while the server is dead.
        self._reservation = _bound(0)
        self.port: int = self._reservation.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/stream.mjpg"
        self.size = (320, 240)
        self.frozen = False
        """Takes connections and keeps them open, and sends not a byte."""
        self.still = False
        """Sends the same picture of somebody again and again."""
        self.even = False
        """Sends pictures of one even green, as what was no picture becomes when it is converted."""
        self.rubbish = ""
        """`pictures`: what it sends as pictures are none; `bytes`: it sends what is no part of any protocol."""
        self.credentials = ""
        """'user:password' without which it sends nothing; empty: it sends to everybody."""
        self.sent = 0
        """Pictures, good and bad, so far."""
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()

    def __enter__(self) -> StreamServer:
        self.come_back()
        return self

    def __exit__(self, *_: object) -> None:
        self.die()
        self._reservation.close()

    @property
    def watched(self) -> bool:
        """Whether somebody takes its pictures."""
        return bool(self._connections)

    def die(self) -> None:
        """Close all connections and refuse new ones, as a process that was killed; harmless when dead."""
        listener, self._listener = self._listener, None
        for each in [*([listener] if listener else []), *self._connections]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def come_back(self) -> None:
        """Take connections again."""
        self._listener = _bound(self.port)
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self._connections.add(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            request = connection.recv(4096)
            if self.credentials and b"Basic " + base64.b64encode(self.credentials.encode()) not in request:
                connection.sendall(WHO_ARE_YOU)
                return
            for part in itertools.chain([HEAD], self._parts()):
                while self.frozen:
                    time.sleep(0.02)
                connection.sendall(part)
                time.sleep(1 / FPS)
        self._connections.discard(connection)

    def _parts(self) -> Iterator[bytes]:
        while True:
            self.sent += 1
            number = self.sent
            variant = 0 if self.still else number % VARIANTS
            picture = _picture(*self.size, self.still or number // FPS % 2 == 0, variant)
            if self.even:
                picture = _encoded(np.full((*self.size[::-1], 3), (0, 135, 0), np.uint8))
            if self.rubbish == "bytes":
                yield os.urandom(len(picture))
                continue
            if self.rubbish == "pictures":
                picture = os.urandom(len(picture))
            head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            yield head.encode() + picture + b"\r\n"


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


@cache
def _picture(width: int, height: int, somebody: bool, variant: int) -> bytes:
    faces = [(width / 2, 0.46 * height, 0.35 * height)] if somebody else []
    noise = np.random.default_rng(variant).integers(0, 6, (height, width, 3), np.uint8)
    return _encoded(cv2.add(scene(*faces, width=width, height=height), noise))


def _encoded(picture: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", picture)[1].tobytes()

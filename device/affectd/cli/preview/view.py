"""What the preview's browsers are shown: one document, the newest picture in it, and who waits for a newer one."""

from __future__ import annotations

import base64
import json
import threading
import time
from typing import Any

WAIT_S = 2.0
"""A browser that waits is answered after so long though there is nothing new: it knows then that we are there."""
OFF = "off"
"""In the place of a part that nothing is put in."""
WATCHED_S = 3.0
"""A browser that has polled within this time watches."""


class View:
    """The newest document, made of parts that several threads put in; any thread may wait for it."""

    def __init__(self) -> None:
        """Begin without a picture."""
        self._changed = threading.Condition()
        self._revision = 0
        self._parts: dict[str, Any] = {"ended": None, "camera": OFF, "microphone": OFF}
        self._picture = b""
        self._picture_revision = 0
        self._asked_at: float | None = None
        self._began_at = time.monotonic()

    def put(self, part: str, value: object, picture: bytes | None = None) -> None:
        """Replace a part, JSON throughout, and the picture (JPEG) that goes with it; wake those who wait.

        After the end nothing is replaced: a device that hung may still deliver something.
        """
        with self._changed:
            if self._parts["ended"] is not None:
                return
            self._revision += 1
            self._parts[part] = value
            if picture is not None:
                self._picture, self._picture_revision = picture, self._revision
            self._changed.notify_all()

    def end(self, reason: str) -> None:
        """Have every browser told that the preview has ended; pictures and readings are gone at once."""
        with self._changed:
            self.put("camera", OFF, b"")
            self.put("microphone", OFF)
            self.put("ended", reason)

    def wait(self, seen: int) -> bytes:
        """Return the document as JSON once it is another than the revision `seen`, or after WAIT_S.

        The picture is in it, in base64, where it came after `seen`.
        """
        with self._changed:
            self._asked_at = time.monotonic()
            self._changed.wait_for(lambda: self._revision != seen, WAIT_S)
            self._asked_at = time.monotonic()
            # A browser from the preview before this one on the same port has seen more than there is.
            new = self._picture_revision > seen or seen > self._revision
            picture = base64.b64encode(self._picture).decode() if new and self._picture else None
            document = {"revision": self._revision, "picture": picture, **self._parts}
        return json.dumps(document, separators=(",", ":")).encode()

    @property
    def unwatched_s(self) -> float:
        """Seconds since a browser was answered, or since the beginning."""
        with self._changed:
            return time.monotonic() - (self._began_at if self._asked_at is None else self._asked_at)

    @property
    def watched(self) -> bool:
        """Whether a browser watches: without one, no picture needs to be made."""
        with self._changed:
            return self._asked_at is not None and time.monotonic() - self._asked_at < WATCHED_S

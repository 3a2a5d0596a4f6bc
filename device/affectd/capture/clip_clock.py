"""The media clock that a clip's picture and sound share, so that they stay in step."""

from __future__ import annotations

import threading
import time

AHEAD_S = 1.0
"""Played as fast as possible, neither track runs ahead of the other by more than this media time."""
STALL_S = 5.0
"""Longest that an item of one track waits for the other to catch up."""
JOIN_S = 1.0
"""In real time, a track first opened this early in the clip begins at its start: it catches up, and misses nothing."""


class ClipClock:
    """Media time 0 lies at one monotonic instant for both tracks; each is read from its own thread."""

    def __init__(self, *, realtime: bool) -> None:
        self._realtime = realtime
        self._started_at: float | None = None
        self._furthest = 0.0
        self._positions: dict[object, float] = {}
        """Of the tracks that are open."""
        self._known: set[object] = set()
        """Tracks that were opened before."""
        self._changed = threading.Condition()

    def join(self, track: object) -> float:
        """Count a track in; return the media time at which it must begin.

        Opened again, it goes on where the clip is. As fast as possible, the other track may be through before
        the thread of this one first opens it: that is no reason to lose anything, so it begins at the start.
        """
        with self._changed:
            if self._started_at is None:
                self._started_at = time.monotonic()
            position = time.monotonic() - self._started_at if self._realtime else self._furthest
            if track not in self._known and (not self._realtime or position < JOIN_S):
                position = 0.0
            self._known.add(track)
            self._positions[track] = position
            return position

    def leave(self, track: object) -> None:
        """Count a track out: it ended or was closed, and holds nobody up."""
        with self._changed:
            self._positions.pop(track, None)
            self._changed.notify_all()

    def wait_for(self, track: object, media_time: float) -> float:
        """Wait until the track may deliver its item of `media_time`; return its monotonic time."""
        if self._started_at is None:
            raise RuntimeError("the track has not joined")
        due_at = self._started_at + media_time
        if self._realtime:
            time.sleep(max(0.0, due_at - time.monotonic()))
        else:
            self._keep_step(track, media_time)
        return due_at

    def _keep_step(self, track: object, media_time: float) -> None:
        with self._changed:
            self._positions[track] = media_time
            self._furthest = max(self._furthest, media_time)
            self._changed.notify_all()
            self._changed.wait_for(lambda: media_time - min(self._positions.values()) <= AHEAD_S, STALL_S)

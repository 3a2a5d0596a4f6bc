"""Buffers between a device's thread and the worker of its modality: the latest frame, and a queue of sound.

Both have a lossless mode for clips played as fast as possible: `put` then waits until there is room. Both distinguish
segments: between the closing of a device and its next opening anything may have happened.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import replace

from affectd.events import AudioChunk, Frame


class _Buffer(ABC):
    """Segments and the end, the same for both."""

    def __init__(self, *, lossless: bool) -> None:
        self._lossless = lossless
        self._segment = 0
        self._closed = False
        self._changed = threading.Condition()

    def begin(self) -> int:
        """Report that the device is being opened, and forget what waits; return the segment's number, for `end`."""
        with self._changed:
            self._cut()
            return self._segment

    def end(self, segment: int) -> None:
        """Report that the device is being closed; forget what waits, unless another segment has begun or none will."""
        with self._changed:
            if segment == self._segment and not self._closed:
                self._cut()

    def close(self) -> None:
        """Report that nothing more comes; what waits can still be taken. Wakes whoever waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _cut(self) -> None:
        self._segment += 1
        self._forget()
        self._changed.notify_all()

    @abstractmethod
    def _forget(self) -> None:
        """Empty it."""


class LatestFrame(_Buffer):
    """Keeps the newest frame only: an old picture is worthless, and is counted when dropped."""

    def __init__(self, *, lossless: bool = False) -> None:
        super().__init__(lossless=lossless)
        self._frame: Frame | None = None
        self.dropped = 0
        """Frames that a newer one replaced before a worker took them."""

    @property
    def finished(self) -> bool:
        """Whether no frame is left and none will come."""
        with self._changed:
            return self._closed and self._frame is None

    def put(self, frame: Frame) -> None:
        """Offer a frame; lossless: wait until the one before is taken. Ignored once closed."""
        with self._changed:
            if self._lossless:
                self._changed.wait_for(lambda: self._frame is None or self._closed)
            if self._closed:
                return
            if self._frame is not None:
                self.dropped += 1
            self._frame = frame
            self._changed.notify_all()

    def take(self, timeout_s: float) -> tuple[int, Frame | None]:
        """Wait for a frame; return the number of its segment, and it.

        No frame when none came in time or none will come (see `finished`); the number is then that of now.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self._closed, timeout_s)
            frame, self._frame = self._frame, None
            self._changed.notify_all()
            return self._segment, frame

    def _forget(self) -> None:
        self._frame = None


class AudioQueue(_Buffer):
    """Keeps the newest `capacity` chunks; what falls out is counted in `lost` of the chunk that follows."""

    def __init__(self, *, capacity: int = 50, lossless: bool = False) -> None:
        super().__init__(lossless=lossless)
        self._capacity = capacity
        self._chunks: deque[AudioChunk] = deque()
        self._lost_before_first = 0
        self.lost_samples = 0
        """Samples that fell out of this queue so far."""

    def __len__(self) -> int:
        """Count the chunks waiting."""
        return len(self._chunks)

    @property
    def finished(self) -> bool:
        """Whether no chunk is left and none will come."""
        with self._changed:
            return self._closed and not self._chunks

    def put(self, chunk: AudioChunk) -> None:
        """Append a chunk; full: drop the oldest, or wait for room when lossless. Ignored once closed."""
        with self._changed:
            if self._lossless:
                self._changed.wait_for(lambda: len(self._chunks) < self._capacity or self._closed)
            if self._closed:
                return
            if len(self._chunks) == self._capacity:
                oldest = self._chunks.popleft()
                self._lost_before_first += oldest.lost + oldest.samples.size
                self.lost_samples += oldest.samples.size
            self._chunks.append(chunk)
            self._changed.notify_all()

    def take(self, timeout_s: float) -> tuple[int, AudioChunk | None]:
        """Wait for the oldest chunk; return the number of its segment, and it.

        No chunk when none came in time or none will come (see `finished`); the number is then that of now.
        """
        with self._changed:
            self._changed.wait_for(lambda: bool(self._chunks) or self._closed, timeout_s)
            if not self._chunks:
                return self._segment, None
            chunk = self._chunks.popleft()
            lost, self._lost_before_first = chunk.lost + self._lost_before_first, 0
            self._changed.notify_all()
            return self._segment, replace(chunk, lost=lost)

    def _forget(self) -> None:
        self._chunks.clear()
        self._lost_before_first = 0

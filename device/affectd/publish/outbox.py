"""Store and forward: events on disk until the broker has acknowledged them, in memory while the disk takes none."""

from __future__ import annotations

import logging
import secrets
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from affectd.errors import OutboxError
from affectd.publish.event_file import EventFile, Stored, damaged, set_aside
from affectd.publish.lock import FileLock, LockedError

log = logging.getLogger(__name__)

LOCK_WAIT_S = 5.0
"""A daemon that is being replaced may take this long to let go of its outbox."""
UNSTORED_KEPT = 1000
"""Events that wait in memory while the disk takes none."""
RETRY_S = 2.0
"""A disk that took nothing is tried again this much later."""
DELIVERED_AT_ONCE, DELIVERED_S = 100, 2.0
"""Delivered events are removed so many at a time, or after so long, or with the next event that is stored."""


class OutboxInUseError(OutboxError):
    """Another process has the outbox open."""


class Outbox:
    """Events in the order they happened, bounded by count and bytes: the oldest falls out first, counted.

    `seq` rises by one per event and is never used again, over restarts and a damaged file too; `id` begins
    with a random number of this run, so that it is never used again even where `seq` had to be: after a
    crash while the disk took nothing. What `append` stored survives a power cut. Trouble of the disk is told
    by `fault` and never raised: events then wait in memory, are sent from there, and are stored when it is
    over. Safe from any thread.
    """

    def __init__(self, path: Path, *, max_events: int, max_bytes: int, lock_wait_s: float = LOCK_WAIT_S) -> None:
        """Lock and open or create the file; a damaged one is set aside.

        Raises OutboxInUseError when another process holds it for `lock_wait_s`, OutboxError when it cannot be written.
        """
        self._path, self._max_events, self._max_bytes = path, max_events, max_bytes
        self._lock = threading.Lock()
        self._run_id = secrets.token_hex(4)
        self._file: EventFile | None = None
        self._last_seq = self._files_dropped = 0
        self._unstored: deque[Stored] = deque()
        """Newer than all that is in the file."""
        self._dropped_unsaved = 0
        """Dropped, and the file's count does not know yet."""
        self._delivered: set[int] = set()
        """In the file, and to be removed from it."""
        self._delivered_since = 0.0
        self._retry_at = 0.0
        self._fault: str | None = None
        self._damaged_files = 0
        self._closed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._process_lock = FileLock(path.with_name(path.name + ".lock"), lock_wait_s)
        except LockedError as error:
            raise OutboxInUseError(
                f"outbox {path}: in use by {error}; stop the other affectd, or give this one an outbox.path of its own"
            ) from None
        except OSError as error:
            raise self._cannot_be_written(error) from error
        try:
            self._open()
        except (OSError, sqlite3.Error) as error:
            self._process_lock.release()
            raise self._cannot_be_written(error) from error

    @property
    def depth(self) -> int:
        """Events waiting, on disk and in memory."""
        stored = 0 if self._file is None else self._file.count - len(self._delivered)
        return max(0, stored) + len(self._unstored)

    @property
    def unstored(self) -> int:
        """Events of these that are in memory alone: a power cut would cost them."""
        return len(self._unstored)

    @property
    def dropped(self) -> int:
        """Events that fell out before they were delivered, over the life of the file."""
        return self._files_dropped + self._dropped_unsaved

    @property
    def damaged_files(self) -> int:
        """How often the file turned out damaged and was set aside in this run."""
        return self._damaged_files

    @property
    def fault(self) -> str | None:
        """Why the disk does not take events now; None when it does."""
        return self._fault

    def append(self, build: Callable[[int, str], bytes]) -> int:
        """Keep `build(seq, id)`, durably unless `fault` then says why not, and give its seq."""
        with self._lock:
            seq = self._last_seq + 1
            self._unstored.append(Stored(seq, build(seq, f"{self._run_id}-{seq}")))
            self._last_seq = seq
            self._store()
            if len(self._unstored) > UNSTORED_KEPT:
                self._unstored.popleft()
                self._dropped_unsaved += 1
        return seq

    def pending(self, after_seq: int, limit: int) -> list[Stored]:
        """Give up to `limit` events with a seq above `after_seq`, in order. Raises OutboxError: try again later."""
        with self._lock:
            waiting: list[Stored] = []
            while self._file is not None and len(waiting) < limit:
                try:
                    found = self._file.read(after_seq, limit)
                except sqlite3.Error as error:
                    if not damaged(error, reading=True):
                        raise OutboxError(f"outbox {self._path}: events could not be read: {error}") from error
                    self._replace(error)
                    continue
                if not found:
                    break
                waiting += [stored for stored in found if stored.seq not in self._delivered]
                after_seq = found[-1].seq
            waiting += [stored for stored in self._unstored if stored.seq > after_seq]
            return waiting[:limit]

    def acknowledge(self, seq: int) -> None:
        """Forget an event: the broker has it. It leaves the disk a little later, with others."""
        with self._lock:
            if self._unstored and seq >= self._unstored[0].seq:
                self._unstored = deque(stored for stored in self._unstored if stored.seq != seq)
                return
            if not self._delivered:
                self._delivered_since = time.monotonic()
            self._delivered.add(seq)

    def drop(self, seq: int) -> None:
        """Give up an event that the broker will never take; counted as dropped."""
        self.acknowledge(seq)
        with self._lock:
            self._dropped_unsaved += 1

    def tend(self) -> None:
        """Bring to disk what is due; call it every second or so."""
        with self._lock:
            due = time.monotonic() - self._delivered_since >= DELIVERED_S
            if (
                self._unstored
                or self._fault
                or (self._delivered and (due or len(self._delivered) >= DELIVERED_AT_ONCE))
            ):
                self._store()

    def close(self) -> None:
        """Close the file; what waits is sent by the next run. Harmless when closed."""
        with self._lock:
            self._retry_at = 0.0
            self._store()
            if self._unstored and not self._closed:
                log.error("outbox %s: %d event(s) that the disk did not take are lost", self._path, len(self._unstored))
            if self._file is not None:
                self._file.close()
                self._file = None
            self._closed = True
            self._process_lock.release()

    def _store(self) -> None:
        """Bring to disk what is in memory alone, and remove what was delivered; what fails is tried again later."""
        if self._closed or time.monotonic() < self._retry_at:
            return
        if not (self._unstored or self._delivered or self._dropped_unsaved or self._fault):
            return
        try:
            try:
                self._write(self._file or self._open())
            except sqlite3.Error as error:
                if not damaged(error):
                    raise
                self._replace(error)
                if self._file is None:
                    return
                self._write(self._file)
        except (OSError, sqlite3.Error) as error:
            self._suffer(error)
        else:
            self._recover()

    def _write(self, file: EventFile) -> None:
        if self._unstored or self._dropped_unsaved or self._last_seq > file.last_seq:
            fell_out = file.write(
                self._unstored, last_seq=self._last_seq, delivered=self._delivered, dropped=self._dropped_unsaved
            )
            self._unstored.clear()
            self._dropped_unsaved = 0
            if fell_out:
                log.warning("outbox %s is full: %d oldest event(s) dropped", self._path, fell_out)
        elif self._delivered:
            file.forget(self._delivered)
        self._files_dropped = file.dropped
        self._delivered.clear()

    def _open(self) -> EventFile:
        try:
            file = self._new_file()
        except sqlite3.Error as error:
            if not damaged(error):
                raise
            self._last_seq = max(self._last_seq, set_aside(self._path, error))
            self._damaged_files += 1
            file = self._new_file()
        self._file, self._last_seq, self._files_dropped = file, max(self._last_seq, file.last_seq), file.dropped
        return file

    def _new_file(self) -> EventFile:
        stored = self._unstored[0].seq - 1 if self._unstored else self._last_seq
        return EventFile(self._path, max_events=self._max_events, max_bytes=self._max_bytes, after_seq=stored)

    def _replace(self, error: Exception) -> None:
        """Set the damaged file aside and begin a new one; without one until the disk lets it."""
        assert self._file is not None
        lost = self._file.count - len(self._delivered)
        self._file.close()
        self._file = None
        self._delivered.clear()
        try:
            set_aside(self._path, error)
            self._damaged_files += 1
            log.error("outbox %s: %d event(s) waited in the damaged file and are not sent", self._path, max(0, lost))
            self._open()
        except (OSError, sqlite3.Error) as second:
            self._suffer(second)

    def _suffer(self, error: Exception) -> None:
        sentence = f"outbox {self._path}: the disk takes no events: {error}"
        if sentence != self._fault:
            log.error("%s; they are kept in memory (at most %d) and sent from there", sentence, UNSTORED_KEPT)
        self._fault = sentence
        self._retry_at = time.monotonic() + RETRY_S

    def _recover(self) -> None:
        if self._fault is not None:
            log.info("outbox %s: the disk takes events again", self._path)
        self._fault = None
        self._retry_at = 0.0

    def _cannot_be_written(self, error: Exception) -> OutboxError:
        return OutboxError(f"outbox {self._path}: cannot be written: {error}; see outbox.path")

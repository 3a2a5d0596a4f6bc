"""Store and forward: events on disk until the broker has acknowledged them, in memory while the disk takes none."""

from __future__ import annotations

import logging
import secrets
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from affectd.errors import OutboxError
from affectd.store.damaged_file import SetAside, set_aside
from affectd.store.disk import damaged, last_seq_in, may_pass
from affectd.store.event_file import EventFile, Stored
from affectd.store.lock import FileLock, LockedError

log = logging.getLogger(__name__)

LOCK_WAIT_S = 5.0
"""A daemon that is being replaced may take this long to let go of its outbox."""
UNSTORED_KEPT = 1000
"""Events that wait in memory while the disk takes none."""
RETRY_S = 2.0
"""A disk that took nothing is tried again this much later."""
SALVAGED_AT_ONCE = 500
"""Events brought out of a damaged file in one transaction."""
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
        """Lock and open or create the file; a damaged one is set aside, and what can be read of it is kept.

        A disk that is full, read-only or failing is waited for. Raises OutboxInUseError when another process holds
        the file for `lock_wait_s`, OutboxError when it cannot be written and waiting would not help.
        """
        self._path, self._max_events, self._max_bytes = path, max_events, max_bytes
        self._lock = threading.Lock()
        self.run_id = secrets.token_hex(4)
        """Begins the id of every event of this run."""
        self._file: EventFile | None = None
        self._last_seq = self._files_dropped = 0
        self._unstored: deque[Stored] = deque()
        """Newer than all that is in the file."""
        self._dropped_unsaved = 0
        """Dropped, and the file's count does not know yet."""
        self._depth = self._dropped = 0
        self._delivered: set[int] = set()
        """In the file, and to be removed from it."""
        self._delivered_since = 0.0
        self._retry_at = 0.0
        self._fault: str | None = None
        self._damaged_files = 0
        self._closed = False
        self.openings = 0
        """How often the file was opened: after a disk that was away at the start, older events than ours may wait."""
        self._process_lock: FileLock | None = None
        try:
            self._open(lock_wait_s)
        except LockedError as error:
            raise OutboxInUseError(
                f"outbox {path}: in use by {error}; stop the other affectd, or give this one an outbox.path of its own"
            ) from None
        except (OSError, sqlite3.Error) as error:
            if not self._can_begin_without(error):
                self._unlock()
                raise OutboxError(f"outbox {path}: cannot be written: {error}; see outbox.path") from error
            self._note_disk_error(error)
        self._count()

    @property
    def depth(self) -> int:
        """Events waiting, on disk and in memory."""
        return self._depth

    @property
    def unstored(self) -> int:
        """Events of these that are in memory alone: a power cut would cost them."""
        return len(self._unstored)

    @property
    def dropped(self) -> int:
        """Events that fell out before they were delivered, or could not be read out of a damaged file."""
        return self._dropped

    @property
    def damaged_files(self) -> int:
        """How often the file turned out damaged and was set aside in this run."""
        return self._damaged_files

    @property
    def fault(self) -> str | None:
        """Why the disk does not take events now; None when it does."""
        return self._fault

    def append(self, build: Callable[[int, str], bytes]) -> int:
        """Keep `build(seq, id)`, JSON with that `seq`, durably unless `fault` is then set, and return its seq."""
        with self._changing():
            seq = self._last_seq + 1
            self._unstored.append(Stored(seq, build(seq, f"{self.run_id}-{seq}")))
            self._last_seq = seq
            self._store()
            if len(self._unstored) > UNSTORED_KEPT:
                self._unstored.popleft()
                self._dropped_unsaved += 1
        return seq

    def pending(self, after_seq: int, limit: int) -> list[Stored]:
        """Return up to `limit` events with a seq above `after_seq`, in order. Raises OutboxError: try again later."""
        with self._changing():
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
        with self._changing():
            self._forget(seq)

    def drop(self, seq: int) -> None:
        """Remove an event that the broker will never take; counted as dropped."""
        with self._changing():
            self._forget(seq)
            self._dropped_unsaved += 1

    def tend(self) -> None:
        """Bring to disk what is due; call it every second or so."""
        with self._changing():
            due = time.monotonic() - self._delivered_since >= DELIVERED_S
            if (
                self._unstored
                or self._fault
                or (self._delivered and (due or len(self._delivered) >= DELIVERED_AT_ONCE))
            ):
                self._store()

    def close(self) -> None:
        """Close the file; what waits is sent by the next run. Harmless when closed."""
        with self._changing():
            self._retry_at = 0.0
            self._store()
            if self._unstored and not self._closed:
                log.error("outbox %s: %d event(s) that the disk did not take are lost", self._path, len(self._unstored))
            if self._file is not None:
                self._file.close()
                self._file = None
            self._closed = True
            self._unlock()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock, and let what others read of it at any time follow in one step."""
        with self._lock:
            try:
                yield
            finally:
                self._count()

    def _count(self) -> None:
        stored = 0 if self._file is None else self._file.count - len(self._delivered)
        self._depth = max(0, stored) + len(self._unstored)
        self._dropped = self._files_dropped + self._dropped_unsaved

    def _forget(self, seq: int) -> None:
        if self._unstored and seq >= self._unstored[0].seq:
            self._unstored = deque(stored for stored in self._unstored if stored.seq != seq)
            return
        if not self._delivered:
            self._delivered_since = time.monotonic()
        self._delivered.add(seq)

    def _unlock(self) -> None:
        if self._process_lock is not None:
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
        except (OSError, LockedError, sqlite3.Error, MemoryError) as error:
            self._note_disk_error(error)
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

    def _can_begin_without(self, error: Exception) -> bool:
        """Whether to run from memory until the disk takes writes: the highest seq assigned must be known."""
        if not may_pass(error, self._path):
            return False
        try:
            self._last_seq = last_seq_in(self._path)
        except (OSError, sqlite3.Error):
            return False
        return True

    def _open(self, lock_wait_s: float = 0.0) -> EventFile:
        if self._process_lock is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._process_lock = FileLock(self._path.with_name(self._path.name + ".lock"), lock_wait_s)
        try:
            file = self._new_file()
        except sqlite3.Error as error:
            if not damaged(error):
                raise
            return self._begin_anew(error)
        self._file, self._last_seq, self._files_dropped = file, max(self._last_seq, file.last_seq), file.dropped
        self.openings += 1
        return file

    def _new_file(self) -> EventFile:
        stored = self._unstored[0].seq - 1 if self._unstored else self._last_seq
        return EventFile(self._path, max_events=self._max_events, max_bytes=self._max_bytes, after_seq=stored)

    def _replace(self, error: Exception) -> None:
        """Begin anew instead of the damaged file; without one until the disk lets it."""
        assert self._file is not None
        waited = self._file.count - len(self._delivered)
        self._file.close()
        self._file = None
        try:
            self._begin_anew(error, waited)
        except (OSError, sqlite3.Error) as second:
            self._note_disk_error(second)

    def _begin_anew(self, error: Exception, waited: int | None = None) -> EventFile:
        """Set the damaged file aside and bring what can be read of it into a new one; `waited`: how many there are."""
        aside = set_aside(self._path, error)
        self._damaged_files += 1
        self._last_seq = max(self._last_seq, aside.last_seq)
        self._file = file = self._new_file()
        try:
            self._salvage(aside, file, waited)
        finally:
            self._last_seq, self._files_dropped = max(self._last_seq, file.last_seq), file.dropped
            lost = "nobody can tell how many were" if aside.lost is None else f"{aside.lost} were"
            log.error(
                "outbox %s: %d event(s) were read out of %s and are sent; %s lost",
                self._path, aside.saved, aside.path.name, lost,
            )  # fmt: skip
            aside.close()
        self._delivered.clear()
        return file

    def _salvage(self, aside: SetAside, file: EventFile, waited: int | None) -> None:
        events = aside.events(file.last_seq, self._max_events, self._delivered)
        while batch := list(islice(events, SALVAGED_AT_ONCE)):
            file.write(batch, last_seq=max(file.last_seq, batch[-1].seq))
        if waited is not None:
            aside.lost = max(0, waited - aside.saved)
        file.write([], last_seq=file.last_seq, dropped=aside.dropped + (aside.lost or 0))

    def _note_disk_error(self, error: Exception) -> None:
        sentence = f"outbox {self._path}: the disk takes no events: {str(error) or 'not enough memory'}"
        if sentence != self._fault:
            log.error("%s; they are kept in memory (at most %d) and sent from there", sentence, UNSTORED_KEPT)
        self._fault = sentence
        self._retry_at = time.monotonic() + RETRY_S

    def _recover(self) -> None:
        if self._fault is not None:
            log.info("outbox %s: the disk takes events again", self._path)
        self._fault = None
        self._retry_at = 0.0

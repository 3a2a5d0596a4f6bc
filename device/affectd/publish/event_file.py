"""The SQLite file that events wait in: few small transactions, bounded, and set aside when it is damaged."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

BROKEN_KEPT = 3
"""Damaged files kept for people to look at; a failing card must not fill up with them."""
_BUSY_S = 1.0
_CHECKPOINT_PAGES = 250
_TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY AUTOINCREMENT, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT OR IGNORE INTO meta VALUES ('dropped', 0);
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """One event that waits for its acknowledgement."""

    seq: int
    payload: bytes


class EventFile:
    """Events by seq, in a file. For one thread at a time. Methods raise sqlite3.Error; `damaged` tells what it means.

    WAL with synchronous=FULL: what `write` took survives a power cut. `forget` does not wait for the disk: a
    removal that a power cut undoes costs a second delivery, which the event's id makes harmless.
    """

    def __init__(self, path: Path, *, max_events: int, max_bytes: int, after_seq: int = 0) -> None:
        """Open or create the file and look it through; a new one goes on after `after_seq`."""
        self._max_events, self._max_bytes = max_events, max_bytes
        self._db = sqlite3.connect(path, check_same_thread=False, timeout=_BUSY_S, isolation_level="IMMEDIATE")
        try:
            self._db.executescript(_TABLES)
            self._checkpoint_every(_CHECKPOINT_PAGES)
            if self._value("PRAGMA quick_check") != "ok":
                raise sqlite3.DatabaseError("its pages do not fit together")
            self.count: int = self._value("SELECT COUNT(*) FROM event")
            self._bytes: int = self._value("SELECT COALESCE(SUM(LENGTH(payload)), 0) FROM event")
            self.dropped: int = self._value("SELECT value FROM meta WHERE key = 'dropped'")
            """Events that fell out before they were delivered, over the life of the file."""
            self.last_seq: int = _last_seq(self._db)
            """The highest seq that was ever given; AUTOINCREMENT keeps it when its event has gone."""
            if after_seq > self.last_seq:
                self.write([], last_seq=after_seq)
        except sqlite3.Error:
            self._db.close()
            raise

    def read(self, after_seq: int, limit: int) -> list[Stored]:
        """Give up to `limit` events with a seq above `after_seq`, in order."""
        query = "SELECT seq, payload FROM event WHERE seq > ? ORDER BY seq LIMIT ?"
        return [Stored(seq, payload) for seq, payload in self._db.execute(query, (after_seq, limit))]

    def write(
        self, events: Sequence[Stored], *, last_seq: int, delivered: Collection[int] = (), dropped: int = 0
    ) -> int:
        """Store events and remove delivered ones in one durable transaction; give how many of the oldest fell out.

        `last_seq` is the highest that was ever given, to an event that is not in the file perhaps; `dropped` is
        added to the file's count of what was lost.
        """
        with self._db:
            count, size = self._remove(delivered)
            self._db.executemany("INSERT INTO event VALUES (?, ?)", [(event.seq, event.payload) for event in events])
            count, size = count + len(events), size + sum(len(event.payload) for event in events)
            count, size, fell_out = self._make_room(count, size)
            if last_seq > max(self.last_seq, *(event.seq for event in events), 0):
                self._db.execute("DELETE FROM sqlite_sequence WHERE name = 'event'")
                self._db.execute("INSERT INTO sqlite_sequence VALUES ('event', ?)", (last_seq,))
            if dropped or fell_out:
                self._db.execute("UPDATE meta SET value = value + ? WHERE key = 'dropped'", (dropped + fell_out,))
        self.count, self._bytes = count, size
        self.dropped += dropped + fell_out
        self.last_seq = last_seq
        return fell_out

    def forget(self, delivered: Collection[int]) -> None:
        """Remove delivered events without waiting for the disk."""
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._checkpoint_every(0)  # a checkpoint waits for the disk whatever synchronous says: the next write makes it
        try:
            with self._db:
                count, size = self._remove(delivered)
            self.count, self._bytes = count, size
        finally:
            self._checkpoint_every(_CHECKPOINT_PAGES)
            self._db.execute("PRAGMA synchronous = FULL")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _remove(self, seqs: Collection[int]) -> tuple[int, int]:
        """Remove these within the running transaction; give count and bytes of what stays."""
        count, size = self.count, self._bytes
        for seq in seqs:
            row = self._db.execute("SELECT LENGTH(payload) FROM event WHERE seq = ?", (seq,)).fetchone()
            if row is not None:
                self._db.execute("DELETE FROM event WHERE seq = ?", (seq,))
                count, size = count - 1, size - row[0]
        return count, size

    def _make_room(self, count: int, size: int) -> tuple[int, int, int]:
        """Drop the oldest, within the running transaction, until the bounds hold; the newest always stays."""
        dropped = 0
        while count > 1 and (count > self._max_events or size > self._max_bytes):
            seq, length = self._db.execute("SELECT seq, LENGTH(payload) FROM event ORDER BY seq LIMIT 1").fetchone()
            self._db.execute("DELETE FROM event WHERE seq = ?", (seq,))
            count, size, dropped = count - 1, size - length, dropped + 1
        return count, size, dropped

    def _checkpoint_every(self, pages: int) -> None:
        self._value(f"PRAGMA wal_autocheckpoint = {pages}")

    def _value(self, query: str) -> Any:
        return self._db.execute(query).fetchone()[0]


def damaged(error: Exception, *, reading: bool = False) -> bool:
    """Whether the error means that the file is no good, rather than that the disk does not take a write now."""
    if isinstance(error, sqlite3.OperationalError):
        return reading and "disk I/O error" in str(error)
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.ProgrammingError)


def set_aside(path: Path, reason: Exception) -> int:
    """Rename a damaged file so that a new one can be begun; give the last seq in it, 0 if that cannot be read.

    Raises OSError when the disk does not let it be renamed.
    """
    last_seq = 0
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        last_seq = _last_seq(db)
    now = datetime.now(timezone.utc)
    aside = path.with_name(f"{path.name}.broken-{now:%Y%m%dT%H%M%S.%f}Z")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):  # they belong to the damaged file and would damage the new one
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    log.error("outbox %s: damaged (%s); set aside as %s and begun anew", path, reason, aside.name)
    broken = sorted(file for file in path.parent.iterdir() if file.name.startswith(f"{path.name}.broken-"))
    for old in broken[:-BROKEN_KEPT]:
        old.unlink(missing_ok=True)
    return last_seq


def _last_seq(db: sqlite3.Connection) -> int:
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
    return int(row[0]) if row else 0

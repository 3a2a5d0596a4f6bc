"""The SQLite file that events wait in: few small transactions, and bounded."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LAST_SEQ = "SELECT seq FROM sqlite_sequence WHERE name = 'event'"
_BUSY_S = 1.0
_LOGIC_ERROR = 1
"""SQLITE_ERROR, available from Python 3.11 on: a statement does not fit the tables."""
_COUNTS = range(2**62)
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
    """Events by seq, in a file. For one thread at a time. Methods raise sqlite3.Error.

    WAL with synchronous=FULL: what `write` took survives a power cut. `forget` does not wait for the disk: a
    removal that a power cut undoes costs a second delivery, which the event's id makes harmless.
    """

    def __init__(self, path: Path, *, max_events: int, max_bytes: int, after_seq: int = 0) -> None:
        """Open or create the file and look it through; a new one goes on after `after_seq`."""
        self._max_events, self._max_bytes = max_events, max_bytes
        self._db = sqlite3.connect(path, check_same_thread=False, timeout=_BUSY_S, isolation_level="IMMEDIATE")
        self._db.text_factory = bytes  # what a damaged file calls text need not be any
        try:
            self._measure()
            if after_seq > self.last_seq:
                self.write([], last_seq=after_seq)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self._db.close()
            if isinstance(error, UnicodeDecodeError) or getattr(error, "sqlite_errorcode", None) == _LOGIC_ERROR:
                raise sqlite3.DatabaseError(f"its tables are not an outbox's: {error!r:.200}") from error
            raise

    def _measure(self) -> None:
        self._db.executescript(_TABLES)
        self._checkpoint_every(_CHECKPOINT_PAGES)
        if self._value("PRAGMA quick_check") != b"ok":
            raise sqlite3.DatabaseError("its pages do not fit together")
        self.count: int = self._value("SELECT COUNT(*) FROM event")
        self._bytes: int = self._value("SELECT COALESCE(SUM(LENGTH(payload)), 0) FROM event")
        self.dropped: int = self._value("SELECT value FROM meta WHERE key = 'dropped'")
        """Events that fell out before they were delivered, over the life of the file."""
        row = self._db.execute(LAST_SEQ).fetchone()
        self.last_seq: int = row[0] if row else 0
        """The highest seq ever assigned; AUTOINCREMENT keeps it when its event has gone."""
        if not (is_count(self.dropped) and is_count(self.last_seq)):
            raise sqlite3.DatabaseError("its counts are no counts")

    def read(self, after_seq: int, limit: int) -> list[Stored]:
        """Return up to `limit` events with a seq above `after_seq`, in order."""
        query = "SELECT seq, payload FROM event WHERE seq > ? ORDER BY seq LIMIT ?"
        return [Stored(seq, payload) for seq, payload in self._db.execute(query, (after_seq, limit))]

    def write(
        self, events: Sequence[Stored], *, last_seq: int, delivered: Collection[int] = (), dropped: int = 0
    ) -> int:
        """Store events and remove delivered ones in one durable transaction; return how many of the oldest fell out.

        `last_seq` is the highest ever assigned, perhaps to an event that is not in the file; `dropped` is
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
        self._checkpoint_every(0)  # a checkpoint always waits for the disk: the next write makes it
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
        """Remove these within the running transaction; return count and bytes of what stays."""
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
        row = self._db.execute(query).fetchone()
        return row[0] if row else None


def is_count(value: object) -> bool:
    """Whether a damaged file may well have meant this as a number of events."""
    return isinstance(value, int) and value in _COUNTS

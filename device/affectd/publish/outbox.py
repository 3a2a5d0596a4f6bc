"""Store and forward: events on disk until the broker has acknowledged them."""

from __future__ import annotations

import logging
import secrets
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affectd.errors import OutboxError

log = logging.getLogger(__name__)

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


class Outbox:
    """Events in the order they happened, bounded by count and bytes: the oldest falls out first, counted.

    `seq` rises by one per event and is never used again, over restarts too (AUTOINCREMENT). WAL with
    synchronous=FULL: an event that `append` accepted survives a power cut; events are rare enough for
    the card to bear it. Safe from any thread.
    """

    def __init__(self, path: Path, *, max_events: int, max_bytes: int) -> None:
        """Open or create the file; a corrupt one is set aside. Raises OutboxError when it cannot be written."""
        self._path, self._max_events, self._max_bytes = path, max_events, max_bytes
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = self._open_or_replace()
            with self._db:
                self._db.execute("INSERT OR IGNORE INTO meta VALUES ('store', ?)", (secrets.token_hex(4),))
        except (OSError, sqlite3.Error) as error:
            raise OutboxError(f"outbox {path}: cannot be written: {error}; see outbox.path") from error
        self.store_id: str = self._value("SELECT value FROM meta WHERE key = 'store'")
        """Random, new with every new file: tells events of one store from those of the next."""
        self._count: int = self._value("SELECT COUNT(*) FROM event")
        self._bytes: int = self._value("SELECT COALESCE(SUM(LENGTH(payload)), 0) FROM event")
        self._dropped: int = self._value("SELECT value FROM meta WHERE key = 'dropped'")

    @property
    def depth(self) -> int:
        """Events waiting."""
        return self._count

    @property
    def dropped(self) -> int:
        """Events that fell out before they were delivered, over the life of the file."""
        return self._dropped

    def append(self, build: Callable[[int, str], bytes]) -> int:
        """Store `build(seq, id)` durably and give its seq. Raises OutboxError when the disk does not take it."""
        with self._lock:
            try:
                with self._db:
                    seq = self._db.execute("INSERT INTO event (payload) VALUES (x'')").lastrowid
                    assert seq is not None
                    payload = build(seq, f"{self.store_id}-{seq}")
                    self._db.execute("UPDATE event SET payload = ? WHERE seq = ?", (payload, seq))
                    count, size, dropped = self._make_room(self._count + 1, self._bytes + len(payload))
            except sqlite3.Error as error:
                raise OutboxError(f"outbox {self._path}: the event could not be stored: {error}") from error
            self._count, self._bytes = count, size
            self._dropped += dropped
        if dropped:
            log.warning("outbox %s is full: %d oldest event(s) dropped", self._path, dropped)
        return seq

    def pending(self, after_seq: int, limit: int) -> list[Stored]:
        """Give up to `limit` events with a seq above `after_seq`, in order. Raises OutboxError."""
        with self._lock:
            try:
                rows = self._db.execute(
                    "SELECT seq, payload FROM event WHERE seq > ? ORDER BY seq LIMIT ?", (after_seq, limit)
                ).fetchall()
            except sqlite3.Error as error:
                raise OutboxError(f"outbox {self._path}: events could not be read: {error}") from error
        return [Stored(seq, payload) for seq, payload in rows]

    def acknowledge(self, seq: int) -> None:
        """Forget an event: the broker has it. Raises OutboxError when it stays on disk; it is then sent again."""
        with self._lock:
            try:
                with self._db:
                    row = self._db.execute("SELECT LENGTH(payload) FROM event WHERE seq = ?", (seq,)).fetchone()
                    self._db.execute("DELETE FROM event WHERE seq = ?", (seq,))
            except sqlite3.Error as error:
                raise OutboxError(f"outbox {self._path}: a delivered event could not be removed: {error}") from error
            if row is not None:
                self._count, self._bytes = self._count - 1, self._bytes - row[0]

    def close(self) -> None:
        """Close the file; what waits is sent by the next run."""
        with self._lock:
            self._db.close()

    def _make_room(self, count: int, size: int) -> tuple[int, int, int]:
        """Drop the oldest, within the running transaction, until the bounds hold; the newest always stays."""
        dropped = 0
        while count > 1 and (count > self._max_events or size > self._max_bytes):
            seq, length = self._db.execute("SELECT seq, LENGTH(payload) FROM event ORDER BY seq LIMIT 1").fetchone()
            self._db.execute("DELETE FROM event WHERE seq = ?", (seq,))
            count, size, dropped = count - 1, size - length, dropped + 1
        if dropped:
            self._db.execute("UPDATE meta SET value = value + ? WHERE key = 'dropped'", (dropped,))
        return count, size, dropped

    def _open_or_replace(self) -> sqlite3.Connection:
        try:
            return self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            number = 1
            while (aside := self._path.with_name(f"{self._path.name}.corrupt-{number}")).exists():
                number += 1
            self._path.rename(aside)
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            log.error("outbox %s: damaged (%s); set aside as %s and begun anew", self._path, error, aside.name)
            return self._open()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, check_same_thread=False, timeout=2.0, isolation_level="IMMEDIATE")
        try:
            db.executescript(_TABLES)
            if db.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("its pages do not fit together")
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _value(self, query: str) -> Any:
        return self._db.execute(query).fetchone()[0]

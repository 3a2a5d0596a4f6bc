"""What is done with a damaged outbox file: set aside, and what can still be read of it is read."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from affectd.store.event_file import LAST_SEQ, Stored, is_count

log = logging.getLogger(__name__)

BROKEN_KEPT = 3
"""Damaged files kept for people to look at; a failing card must not fill up with them."""
SALVAGE_S = 20.0
"""A card that takes seconds for every page it cannot read is given up after this long."""
_WAL, _SHM = "-wal", "-shm"


@dataclass
class SetAside:
    """A damaged file under its new name, with its write-ahead log until it is closed."""

    path: Path
    last_seq: int = 0
    """The last number in it; 0 if that cannot be read."""
    dropped: int = 0
    """Its count of events that had fallen out, as far as that can be read."""
    saved: int = 0
    """Events read out of it so far."""
    lost: int | None = None
    """Events of it that could not be read, known when `events` has come to its end; None if that cannot be known."""

    def events(self, up_to_seq: int, at_most: int, without: Collection[int] = ()) -> Iterator[Stored]:
        """Return the events that can be read, in order, one by one: a bad page costs only what stands on it.

        `up_to_seq` is the last number known to have been given, 0 for none; `at_most` how many the file can
        hold; those in `without` are left out.
        """
        end = time.monotonic() + SALVAGE_S
        with closing(_opened(self.path)) as db:
            last = max(self.last_seq, up_to_seq) or _number(db, "SELECT MAX(seq) FROM event") or 0
            first = _number(db, "SELECT MIN(seq) FROM event")
            seqs = range(max(first or 1, last - at_most + 1), last + 1)
            for seq in seqs:
                if seq in without or time.monotonic() > end:
                    continue
                stored = _read(db, seq)
                if stored is not None:
                    self.saved += 1
                    yield stored
            if first is not None:
                self.lost = len(seqs) - sum(seq in seqs for seq in without) - self.saved

    def close(self) -> None:
        """Remove its write-ahead log, and older damaged files beyond what is kept."""
        for suffix in (_WAL, _SHM):
            _beside(self.path, suffix).unlink(missing_ok=True)
        original = self.path.name.partition(".broken-")[0]
        broken = sorted(file for file in self.path.parent.iterdir() if file.name.startswith(f"{original}.broken-"))
        for old in broken[:-BROKEN_KEPT]:
            old.unlink(missing_ok=True)


def set_aside(path: Path, reason: Exception) -> SetAside:
    """Rename a damaged file so that a new one can be begun. Raises OSError when the disk does not let it."""
    aside = path.with_name(f"{path.name}.broken-{datetime.now(timezone.utc):%Y%m%dT%H%M%S.%f}Z")
    if _beside(path, _WAL).exists():  # first: beside a new file it would damage that
        _beside(path, _WAL).rename(_beside(aside, _WAL))
    _beside(path, _SHM).unlink(missing_ok=True)
    path.rename(aside)
    log.error("outbox %s: damaged (%s); set aside as %s and begun anew", path, reason, aside.name)
    with closing(_opened(aside)) as db:
        dropped = _number(db, "SELECT value FROM meta WHERE key = 'dropped'")
        return SetAside(aside, _number(db, LAST_SEQ) or 0, dropped or 0)


def _opened(path: Path) -> sqlite3.Connection:
    """Open for reading alone; what is wrong with the file shows with the first query."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _number(db: sqlite3.Connection, query: str) -> int | None:
    try:
        row = db.execute(query).fetchone()
    except (sqlite3.Error, UnicodeDecodeError):  # sqlite3 quotes the file's tables in its errors
        return None
    return row[0] if row is not None and is_count(row[0]) else None


def _read(db: sqlite3.Connection, seq: int) -> Stored | None:
    """Return the event if it is there and whole: SQLite has no checksums, but what it holds is JSON with that seq."""
    try:
        row = db.execute("SELECT payload FROM event WHERE seq = ?", (seq,)).fetchone()
        if row is not None and json.loads(row[0])["seq"] == seq:
            return Stored(seq, bytes(row[0]))
    except (sqlite3.Error, ValueError, TypeError, KeyError, RecursionError):
        pass
    return None

"""What the errors of a disk mean: a file that is no good, a disk that takes nothing now, or a wrong place."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from affectd.store.event_file import LAST_SEQ

_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


def damaged(error: Exception, *, reading: bool = False) -> bool:
    """Whether the error means that the file is no good, rather than that the disk does not take a write now."""
    if isinstance(error, sqlite3.OperationalError):
        return reading and "disk I/O error" in str(error)
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.ProgrammingError)


def may_pass(error: Exception, path: Path) -> bool:
    """Whether the disk of `path` is full, read-only or failing: nothing that a setting would mend."""
    if isinstance(error, OSError):
        return error.errno in _PASSING
    return "disk is full" in str(error) or "disk I/O error" in str(error) or _read_only(path.parent)


def last_seq_in(path: Path) -> int:
    """Return the highest seq that the file ever had, without a write; 0 when there is no file. Raises sqlite3.Error."""
    if not path.exists() or path.stat().st_size == 0:
        return 0
    log = path.with_name(path.name + "-wal")
    if not log.exists() or log.stat().st_size == 0:
        return _ask(path, "immutable=1")
    try:
        return _ask(path, "mode=ro")
    except sqlite3.OperationalError:  # no place for an index of the log: in exclusive mode that is in memory
        return _ask(path, "mode=rw")


def _ask(path: Path, mode: str) -> int:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as db:
        if mode == "mode=rw":
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
        if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'").fetchone():
            return 0
        row = db.execute(LAST_SEQ).fetchone()
    return int(row[0]) if row else 0


def _read_only(folder: Path) -> bool:
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False

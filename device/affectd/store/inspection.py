"""An outbox looked at from outside: what waits in it, and whether it could be written, with nothing left behind."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from affectd.errors import OutboxError
from affectd.store.lock import LockedError, hold_without_trace
from affectd.store.outbox import OutboxInUseError

_SAMPLE = bytes(64 * 1024)
"""What is written, to a file without a name, to see whether the disk takes it."""


@dataclass(frozen=True, slots=True)
class OutboxContents:
    """What a file of events holds."""

    waiting: int
    dropped: int


def inspect_outbox(path: Path) -> OutboxContents | None:
    """Return what an outbox holds that nobody has open, None where there is no file yet; and try its folder.

    The file is copied and the copy read: SQLite itself would leave files beside it. Raises OutboxInUseError,
    OutboxError when it or its folder cannot be read or written.
    """
    try:
        with hold_without_trace(path.with_name(path.name + ".lock")):
            found = _read_copy(path) if path.exists() else None
            _try_folder(path.parent)
            if found is not None:
                path.open("r+b").close()
    except LockedError as error:
        raise OutboxInUseError(f"outbox {path}: in use by {error}") from None
    except sqlite3.DatabaseError as error:
        raise OutboxError(
            f"outbox {path}: damaged: {error}; affectd run sets it aside and sends what can still be read of it"
        ) from error
    except OSError as error:
        place = "" if error.filename in (None, str(path)) else f" ({error.filename})"
        raise OutboxError(f"outbox {path}: cannot be written: {error.strerror}{place}; see outbox.path") from error
    return found


def _read_copy(path: Path) -> OutboxContents:
    with tempfile.TemporaryDirectory(prefix="affectd-check-") as folder:
        copy = Path(folder) / "outbox.db"
        shutil.copyfile(path, copy)
        log = path.with_name(path.name + "-wal")
        if log.exists():
            shutil.copyfile(log, copy.with_name(copy.name + "-wal"))
        with closing(sqlite3.connect(copy)) as db:
            if copy.stat().st_size == 0 or not db.execute("SELECT 1 FROM sqlite_schema").fetchone():
                return OutboxContents(0, 0)
            (waiting,) = db.execute("SELECT COUNT(*) FROM event").fetchone()
            (dropped,) = db.execute("SELECT value FROM meta WHERE key = 'dropped'").fetchone()
            return OutboxContents(waiting, dropped)


def _try_folder(folder: Path) -> None:
    """Write to a file without a name in the folder, or in the nearest above it that there is. Raises OSError."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(_SAMPLE)

"""An advisory lock that one process at a time holds: two daemons must not number and send the same events."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_S = 0.1


class LockedError(Exception):
    """Another process holds the lock; the message names it."""


class FileLock:
    """Holds `path` locked until it is released or the process ends, however it ends."""

    def __init__(self, path: Path, wait_s: float) -> None:
        """Take the lock, waiting for it at most `wait_s`. Raises LockedError, and OSError for a file that cannot be."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        end = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() < end:
                    time.sleep(_POLL_S)
                    continue
                holder = _holder(self._descriptor)
                os.close(self._descriptor)
                raise LockedError(holder) from None
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)
        except OSError:  # a full disk: the number is for people, the lock holds without it
            pass

    def release(self) -> None:
        """Let the next one have it; the file stays, for removing it would race. Harmless when released."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def hold_without_trace(path: Path) -> Iterator[None]:
    """Keep others from taking the lock inside, and leave no trace, not even the file where there is none.

    Raises LockedError when a process holds the lock, and OSError for a file that may not be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # nobody ever held it
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(_holder(descriptor)) from None
        yield
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
    return f"process {holder}" if holder else "another process"

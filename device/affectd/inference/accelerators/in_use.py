"""The mark of an accelerator in use: a mark that is still there at the next start means a crash in its code."""

from __future__ import annotations

import atexit
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

FILE = "delegate-in-use"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_marking: set[InUse] = set()


class InUse:
    """A file that holds what is tried or used, from before its first call to a stop in order.

    Of an end with the whole system, such as a power cut, it shows nothing: the boot is another one then.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._descriptor = path, -1
        self._marked: dict[str, str] = {}

    def leftovers(self) -> Iterator[tuple[str, str]]:
        """Return (key, what was done with it) of each that an earlier daemon of this boot died with."""
        with suppress(FileNotFoundError):
            if not self._open():
                return
            try:
                found = json.loads(os.pread(self._descriptor, 65536, 0) or b"{}")
            except ValueError:
                found = {}
            os.ftruncate(self._descriptor, 0)
            match found:
                case {"boot": str(boot), "marked": dict(marked)} if boot == _boot():
                    yield from ((str(key), str(doing)) for key, doing in marked.items())

    def mark(self, key: str, doing: str) -> None:
        """Report that native code of this one is about to be called: 'tried' in a child, or 'used' in this process."""
        self._marked[key] = doing
        _marking.add(self)
        self._write()

    def unmark(self, key: str) -> None:
        """Report that it is not called any more."""
        if self._marked.pop(key, None):
            self._write()

    def clear(self) -> None:
        """Report that this process ends in order. Harmless when nothing is marked."""
        self._marked = {}
        _marking.discard(self)
        if self._descriptor >= 0:
            with suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self) -> None:
        """Write all marks; a full disk costs them, not the daemon."""
        with suppress(OSError):
            if self._open(os.O_CREAT):
                content = json.dumps({"boot": _boot(), "marked": self._marked}).encode()
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, content, 0)

    def _open(self, flags: int = 0) -> bool:
        """Open and lock the file; false where another daemon has it. Raises OSError."""
        if self._descriptor < 0:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                return False
            self._descriptor = descriptor
        return True


@atexit.register
def clear_all() -> None:
    """Clear every mark: this process ends by its own will."""
    for each in list(_marking):
        each.clear()


def _boot() -> str:
    with suppress(OSError):
        return BOOT_ID.read_text(encoding="ascii").strip()
    return "unknown"

"""A marker file by which the next start knows that a process crashed inside a native library."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from affectd.backoff import Backoff
from affectd.errors import CaptureError

RETRY = Backoff(first_s=10.0, longest_s=3600.0, factor=4.0)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class _Mark:
    """What is in the file."""

    boot: str
    pid: int
    born: str
    """When that process began, which distinguishes it from a later one of the same pid."""
    at_s: float
    """When the library was entered, in seconds since the box started."""
    ends: int
    """How many processes in a row ended inside the library, should this one."""
    inside: bool


class CrashMarker:
    """Marks the time from `enter` to `leave`; what a process that is gone left marked keeps the next from entering.

    That waits for the RETRY after so many such ends in a row. What was marked before the box last started does not
    count: the power may have gone.
    """

    def __init__(self, path: Path | None, library: str) -> None:
        """Prepare; without a `path`, or where it cannot be written, nothing is marked."""
        self._path = path
        self._library = library
        self._before: _Mark | None = None
        self._inside = False

    def enter(self, name: str) -> None:
        """Mark that the library is being entered for the camera `name`. Raises CaptureError while that must wait."""
        if self._path is None:
            return
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        before = self._stale_mark()
        ends = before.ends if before else 0
        if before and before.inside:
            wait_s = RETRY.delay_s(ends) - (now - before.at_s)
            if wait_s > 0:
                raise CaptureError(
                    f"camera {name}: the last start of affectd ended inside {self._library} ({ends} in a row), and the "
                    f"journal has its last words; the next try is in {wait_s:.0f} s, or at once when {self._path} is "
                    "removed"
                )
        self._before, self._inside = before, True
        self._write(_Mark(_boot(), os.getpid(), _start_time(os.getpid()), now, ends + 1, inside=True))

    def leave(self, *, proven: bool = False) -> None:
        """Unmark it; `proven`: the library works, so that earlier ends are forgotten. Harmless when not inside."""
        if self._path is None or not self._inside:
            return
        self._inside = False
        if self._before is not None and not proven:
            self._write(_Mark(**{**asdict(self._before), "inside": False}))
            return
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _stale_mark(self) -> _Mark | None:
        """Return the mark of a process that is gone, since the box has started; None if there is none such."""
        mark = self._read()
        if mark is None or mark.boot != _boot() or (mark.inside and mark.born == _start_time(mark.pid)):
            return None
        return mark

    def _read(self) -> _Mark | None:
        with suppress(OSError, ValueError, TypeError):
            if self._path is not None:
                return _Mark(**json.loads(self._path.read_text()))
        return None

    def _write(self, mark: _Mark) -> None:
        with suppress(OSError):
            if self._path is not None:
                self._path.write_text(json.dumps(asdict(mark)))


def _boot() -> str:
    with suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return ""


def _start_time(pid: int) -> str:
    """Return when a process began, in clock ticks since the box started; empty for one that is gone."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""

"""Wall-clock time stamps, and whether the clock can be believed."""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from affectd.publish.documents import Stamp

log = logging.getLogger(__name__)

SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")
_TIMEX_BYTES = 512
"""More than struct timex has on any Linux."""
_TIME_ERROR = 5
"""adjtimex(2): the clock is not synchronized."""


def stamp(captured_at: float) -> Stamp:
    """Stamp a message now; its evidence was captured at `captured_at` on the monotonic clock."""
    now, age_s = datetime.now(timezone.utc), max(0.0, time.monotonic() - captured_at)
    return Stamp(rfc3339(now), rfc3339(now - timedelta(seconds=age_s)), clock_synced(), age_s * 1000)


def rfc3339(moment: datetime) -> str:
    """Write a UTC time with milliseconds, as in 2026-01-02T03:04:05.678Z (RFC 3339)."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def clock_synced() -> bool:
    """Whether a time service keeps the clock: by timesyncd's mark, or the kernel's clock is disciplined (adjtimex).

    False where neither can be known: a clock is not called good on a guess. That the kernel may not be asked, as in
    some sandboxes, is logged once.
    """
    return SYNCHRONIZED.exists() or _kernel_synced()


def _kernel_synced() -> bool:
    """Call adjtimex(2), which changes nothing with a zero buffer; its return value is the same on every word size."""
    try:
        answer: int = _libc().adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return False
    if answer < 0:
        _log_once(os.strerror(ctypes.get_errno()))
    return 0 <= answer < _TIME_ERROR


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@functools.cache
def _log_once(reason: str) -> None:
    log.warning(
        "the kernel does not say whether a time service keeps the clock (adjtimex: %s), so clock_synced is true "
        "only with systemd-timesyncd; a sandbox must allow adjtimex and clock_adjtime",
        reason,
    )

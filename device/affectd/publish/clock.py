"""Wall-clock time stamps, and whether the clock can be believed."""

from __future__ import annotations

import ctypes
import time
from datetime import datetime, timezone
from pathlib import Path

from affectd.events import Stamp

SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")
_STA_UNSYNC = 0x40
_TIMEX_BYTES = 256
_STATUS_OFFSET = 40
"""Of `status` in struct timex on 64-bit Linux: modes, padding, offset, freq, maxerror, esterror."""


def stamp(captured_at: float) -> Stamp:
    """Stamp a message now; its evidence was captured at `captured_at` on the monotonic clock."""
    now = datetime.now(timezone.utc)
    text = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"
    return Stamp(text, clock_synced(), max(0.0, (time.monotonic() - captured_at) * 1000))


def clock_synced() -> bool:
    """Whether a time service keeps the clock: timesyncd says so, or the kernel's clock is disciplined (adjtimex)."""
    return SYNCHRONIZED.exists() or _kernel_synced()


def _kernel_synced() -> bool:
    if ctypes.sizeof(ctypes.c_long) != 8:
        return False
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        state = ctypes.CDLL(None).adjtimex(buffer)
    except (OSError, AttributeError):
        return False
    status = int.from_bytes(buffer.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], "little")
    return state >= 0 and not status & _STA_UNSYNC

"""What the service manager lets this process do that matters to an accelerator."""

from __future__ import annotations

import mmap
from contextlib import suppress
from pathlib import Path

_OWN = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


def may_write_code() -> bool:
    """Whether memory may be written and executed, as drivers that compile need: not under MemoryDenyWriteExecute=."""
    try:
        mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    except OSError:
        return False
    return True


def memory_limit() -> int | None:
    """Return the bytes that this process and its children may hold together (MemoryMax=); None where all there is."""
    text = _read("memory.max").strip()
    return int(text) if text.isdecimal() else None


def memory_left() -> int | None:
    """Return how many bytes of the limit are free, what the kernel can drop of files counted in; None without one."""
    limit, used = memory_limit(), _read("memory.current").strip()
    if limit is None or not used.isdecimal():
        return None
    stat = dict(line.split(maxsplit=1) for line in _read("memory.stat").splitlines() if " " in line)
    dropped = sum(int(stat.get(name, 0)) for name in ("inactive_file", "active_file"))
    return limit - int(used) + dropped


def _read(name: str) -> str:
    """Return a file of this process's control group (version 2); empty where there is none."""
    with suppress(OSError):
        for line in _OWN.read_text(encoding="ascii").splitlines():
            if line.startswith("0::"):
                return (_GROUPS / line[3:].lstrip("/") / name).read_text(encoding="ascii")
    return ""

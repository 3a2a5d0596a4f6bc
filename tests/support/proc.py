"""Programs that a test started, as the kernel shows them: signals, open files, processor time, limits."""

from __future__ import annotations

import os
import re
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def pid_of(part: Any) -> int:
    """Return the process of an Affectd, a Mosquitto or a SoundServer."""
    process = getattr(part, "_process", None) or part._server
    return int(process.pid)


def send(part: Any, number: signal.Signals) -> None:
    """Send the part's process a signal."""
    os.kill(pid_of(part), number)


def open_files(pid: int) -> dict[int, str]:
    """Return what its descriptors lead to: paths, `socket:[inode]` and the like."""
    files = {}
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            files[int(link.name)] = str(link.readlink())
        except FileNotFoundError:  # closed meanwhile
            continue
    return files


def field(pid: int, name: str) -> str:
    """Return a line of its /proc/PID/status: `SigBlk`, `VmRSS`."""
    (value,) = re.findall(rf"^{name}:\s*(.+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return str(value)


def heeds_sigterm(pid: int) -> bool:
    """Whether a thread of the program waits for SIGTERM; before that the kernel ends it."""
    return bool(int(field(pid, "SigBlk"), 16) >> (signal.SIGTERM - 1) & 1)


def cpu_s(pid: int) -> float:
    """Return the processor time that all its threads have used."""
    return time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) gives


@contextmanager
def starved(pid: int, *, share: float, period_s: float = 0.1) -> Iterator[None]:
    """Let the process have no more than this share of one core: stopped as soon as it has used it up, as by a quota."""
    enough = threading.Event()

    def ration() -> None:
        began, used = time.monotonic(), cpu_s(pid)
        while not enough.is_set():
            allowed = share * (time.monotonic() - began + period_s)
            if cpu_s(pid) - used >= allowed:
                os.kill(pid, signal.SIGSTOP)
                time.sleep(period_s)
                os.kill(pid, signal.SIGCONT)
            else:
                time.sleep(0.002)

    thread = threading.Thread(target=ration)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


@contextmanager
def short_of_memory(pid: int, *, spare_mb: float) -> Iterator[None]:
    """Let the process have no more than so much beyond what it has: the kernel refuses it the rest."""
    before = resource.prlimit(pid, resource.RLIMIT_DATA)
    has = int(field(pid, "VmData").split()[0]) * 1024
    resource.prlimit(pid, resource.RLIMIT_DATA, (has + int(spare_mb * 1e6), before[1]))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_DATA, before)

"""A step of the toolchain in a process of its own, bounded in memory and time.

The TFLite converter can crash, hang or eat all memory, and tflite-runtime 2.14 crashes in a process
that has TensorFlow loaded; none of it may take the caller along.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from affectd.errors import AffectdError
from affectd_convert.errors import ConversionError

_LOGGED = re.compile(r"[IW]\d{4} |\d{4}-\d\d-\d\d |WARNING: |To enable the following")
"""How lines begin that TensorFlow logs: none of them is the reason of a failure."""
_OTHERWISE = "leave this kind of variant out (--kinds), or the layers of the network that are out of the ordinary"
STILL_S = 15.0
"""Seconds after which, again and again, a step that takes long is reported."""
_SIGNALS = {
    signal.SIGSEGV: ("a fault in native code, which says no more than this", _OTHERWISE),
    signal.SIGBUS: ("a fault in native code, or a file that was cut off while it was read", _OTHERWISE),
    signal.SIGABRT: ("native code gave up", _OTHERWISE),
    signal.SIGFPE: ("native code divided by zero", _OTHERWISE),
    signal.SIGILL: ("this processor lacks an instruction of the installed wheels", "take a machine with AVX"),
    signal.SIGKILL: ("it was killed from outside, as Linux does when memory runs out", "free memory, then start again"),
}
"""What a signal means, and what to do."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a process may use before it is killed."""

    memory_gb: float = 8.0
    """Resident memory, 10**9 bytes."""
    timeout_s: float = 1200.0


def run_module(module: str, arguments: Sequence[object], *, what: str, bounds: Bounds | None = None) -> None:
    """Run `python -m module arguments` to its end; kill it past a bound, by default 8 GB and an hour.

    Raises ConversionError that says how `what` failed: the last line that the process wrote, its
    signal in words, or the bound it passed.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: S603
        try:
            problem = _wait_within(bounds or Bounds(timeout_s=3600.0), process, what)
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        said = [line.strip() for line in log if line.strip() and not _LOGGED.match(line)]
    if problem:
        raise ConversionError(f"{what} was stopped: {problem}")
    if process.returncode < 0:
        raise ConversionError(f"{what} crashed: {_explain(signal.Signals(-process.returncode), said)}")
    if process.returncode:
        reason = said[-1] if said else f"exit code {process.returncode}"
        # A sentence that names the file already needs no second name before it.
        named = reason.startswith(what.partition(": ")[0])
        raise ConversionError(reason if named else f"{what} failed: {reason}")


def exit_code_of(step: Callable[[], object]) -> int:
    """Run what such a process is for; return its exit code. The error is the last line on stderr."""
    try:
        step()
    except AffectdError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _explain(number: signal.Signals, said: Sequence[str]) -> str:
    """Return what a signal that ended a process means, and what to do."""
    meaning, remedy = _SIGNALS.get(number, ("it was ended from outside", "start it again"))
    last = f"; the last it said: {said[-1]}" if number == signal.SIGABRT and said else ""
    return f"{meaning} ({number.name}){last}; {remedy}"


def _wait_within(bounds: Bounds, process: subprocess.Popen[bytes], what: str) -> str:
    """Wait for the process to end, and report that it still runs; return which bound it passed, or nothing."""
    began = reported = time.monotonic()
    while True:
        try:
            process.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            pass
        else:
            return ""
        held_gb, now = _resident_gb(process.pid), time.monotonic()
        if held_gb > bounds.memory_gb:
            return f"it holds more than {bounds.memory_gb:g} GB of memory; allow more (--memory-gb)"
        if now > began + bounds.timeout_s:
            return f"it takes longer than {bounds.timeout_s:g} s; allow more (--timeout)"
        if now > reported + STILL_S:
            reported = now
            print(f"{what}: {now - began:.0f} s so far, {held_gb:.1f} GB", file=sys.stderr, flush=True)


def _resident_gb(pid: int) -> float:
    """Return the memory a process holds; 0 where there is no /proc (the time bound remains)."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e9

"""Try an accelerator in a process of its own, and report the result in one sentence."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from affectd.inference.accelerators.accelerator import Accelerator, Workload
from affectd.inference.accelerators.limits import may_write_code, memory_left, memory_limit

STEP_S = 20.0
"""An accelerator that takes longer for one step, such as one inference, hangs."""
ALL_S = 120.0
"""For all steps together."""
SPARE_BYTES = 24 << 20
"""Memory that stays free of the limit: beyond it the kernel would end the daemon with the trial."""
_POLL_S = 0.02
_KEPT_BYTES = 4096
_PROBE = "affectd.inference.accelerators.probe"
_OURS = ("PYTHONFAULTHANDLER", "NOTIFY_SOCKET", "WATCHDOG_USEC", "CREDENTIALS_DIRECTORY")
"""Variables of the daemon that are not the trial's."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a trial showed."""

    fault: str
    """Why the accelerator is not used, in a sentence; empty when it is right."""
    ms: float = 0.0
    """The least that an inference took."""
    share: str = ""
    """How much of the network it took."""
    lasting: bool = True
    """Whether it is worth keeping: what went wrong before the accelerator was loaded is none of its fault."""

    @property
    def good(self) -> bool:
        """Whether it ran the network right."""
        return not self.fault


def try_out(workload: Workload, accelerator: Accelerator) -> Verdict:
    """Load, run and time the accelerator in a child process, and believe only what comes back of it in time."""
    try:
        with _Child(job_of(workload, accelerator)) as child:
            fault = child.await_end()
        return child.verdict(fault)
    except OSError as error:
        return Verdict(f"cannot be tried: {error.strerror}", lasting=False)


def job_of(workload: Workload, accelerator: Accelerator) -> dict[str, Any]:
    """Return what a child process must know to run it, as JSON."""
    return {
        "bundle": str(workload.bundle.folder.absolute()),
        "kind": workload.kind,
        "runtime": workload.runtime.key,
        "delegate": accelerator.name,
        "options": accelerator.options,
        "threads": accelerator.threads,
    }


class _Child:
    """The process of one trial, in a session of its own, ended with all that it started."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._result, pipe = os.pipe()
        # What it may import is what this process imports, also where affectd was not installed but put on the path.
        environment = {name: value for name, value in os.environ.items() if name not in _OURS}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        try:
            self._process = subprocess.Popen(  # noqa: S603 - affectd itself
                [sys.executable, "-m", _PROBE, str(pipe), str(round(ALL_S + STEP_S))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[pipe],
                env=environment,
                cwd="/",  # which python -m puts before all else it imports from
                start_new_session=True,
            )
        except BaseException:
            os.close(self._result)
            raise
        finally:
            os.close(pipe)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError), self._process.stdin:
            self._process.stdin.write(json.dumps(job).encode())
        self._output_end = self._process.stdout
        self._output = self._messages = b""
        self._step_began = time.monotonic()

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._output_end.close()
        os.close(self._result)

    def await_end(self) -> str:
        """Wait until it ends; return why it was not waited for any longer, or nothing."""
        end = time.monotonic() + ALL_S
        with selectors.DefaultSelector() as selector:
            for stream in (self._output_end.fileno(), self._result):
                os.set_blocking(stream, False)
                selector.register(stream, selectors.EVENT_READ)
            while self._runs():
                now = time.monotonic()
                if now >= self._step_began + STEP_S:
                    return f"hangs {self._step}: no sign of life for {STEP_S:g} s"
                if now >= end:
                    return f"is too slow: not done within {ALL_S:g} s"
                left, limit = memory_left(), memory_limit()
                if left is not None and limit is not None and left < SPARE_BYTES:
                    return f"needs more memory than this service may hold (MemoryMax=, {limit >> 20} MB)"
                self._read(selector)
            self._read(selector)
        return ""

    def _runs(self) -> bool:
        """Whether it has not ended; not reaped yet: its number must stay its own until its session is ended."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def verdict(self, fault: str) -> Verdict:
        """Judge by how it ended, unless it was ended for a `fault`, and by its messages."""
        code = self._process.returncode
        if not fault and code < 0:
            fault = f"died of {_signal_name(-code)} {self._step}"
            if not may_write_code():
                fault += "; this service may not write code (MemoryDenyWriteExecute=), as GPU drivers do"
        if not fault and code:
            fault = f"ended its process with exit code {code} {self._step}{self._last_output}"
        if fault:
            return Verdict(fault, lasting=self._message is not None)
        match self._message:
            case {"fault": str(fault)} if fault:
                return Verdict(fault)
            case {"ms": float(ms), "share": str(share)} if ms >= 0 and len(self._lines) > 1:
                return Verdict("", ms, share)
        return Verdict(f"ended its process {self._step} without an answer{self._last_output}")

    def _read(self, selector: selectors.BaseSelector) -> None:
        """Take in what it has written, the newest of its output and all its messages."""
        for key, _ in selector.select(_POLL_S):
            with suppress(BlockingIOError):
                block = os.read(key.fd, 65536)
                if not block:
                    selector.unregister(key.fd)
                elif key.fd == self._result:
                    self._messages = (self._messages + block)[-_KEPT_BYTES:]
                    self._step_began = time.monotonic()
                else:
                    self._output = (self._output + block)[-_KEPT_BYTES:]

    @property
    def _lines(self) -> list[bytes]:
        return self._messages.splitlines()

    @property
    def _message(self) -> Any:
        """Its last message; None where that is not JSON."""
        try:
            return json.loads(self._lines[-1]) if self._lines else None
        except ValueError:
            return None

    @property
    def _step(self) -> str:
        """The last step that it began."""
        match self._message:
            case {"step": str(step)}:
                return step
            case None:
                return "before it was loaded"
        return "when it ended"

    @property
    def _last_output(self) -> str:
        """What it wrote last, as it follows a sentence."""
        lines = [line.strip() for line in self._output.decode("utf-8", "replace").splitlines() if line.strip()]
        shown = "".join(c if c.isprintable() else "?" for c in lines[-1])[:200] if lines else ""
        return f" ({shown})" if shown else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

"""Notices that whoever called a command wants it to end, or has left: for commands that hold a camera open."""

from __future__ import annotations

import os
import select
import signal
from dataclasses import dataclass

INTERRUPTED = 130
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STREAMS = {0: "standard input", 1: "standard output"}


@dataclass(frozen=True, slots=True)
class ExitReason:
    """Why to end, and with which exit code."""

    reason: str
    exit_code: int = 0


class ExitMonitor:
    """Ask for its `exit_reason` every tenth of a second or so."""

    def __init__(self) -> None:
        """Remember the parent process and the streams that are open: make it before anything that takes time."""
        self._parent = os.getppid()
        self._signals: list[signal.Signals] = []
        self._hang_ups = select.poll()
        for descriptor in _STREAMS:
            self._hang_ups.register(descriptor, 0)
        for descriptor, _ in self._hang_ups.poll(0):  # closed before we began, as `ssh -n` does: nothing to go by
            self._hang_ups.unregister(descriptor)

    def take_signals(self) -> None:
        """Have SIGINT, SIGTERM and SIGHUP, also where a shell had them ignored, end nothing by themselves any more."""
        for number in _ENDING:
            signal.signal(number, self._on_signal)

    def exit_reason(self) -> ExitReason | None:
        """Return why to end; None while the caller is there and has not asked for it."""
        if self._signals:
            number = self._signals[0]
            return ExitReason(number.name, INTERRUPTED if number == signal.SIGINT else 0)
        for descriptor, _ in self._hang_ups.poll(0):
            return ExitReason(f"{_STREAMS[descriptor]} was closed at its other end")
        if os.getppid() != self._parent:
            return ExitReason("the calling process has ended")
        return None

    def _on_signal(self, number: int, _frame: object) -> None:
        self._signals.append(signal.Signals(number))

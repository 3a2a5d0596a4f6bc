"""The privacy switch: closes camera and microphone on a command or on a hardware switch, and says so."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from affectd.service.component import Beat

log = logging.getLogger(__name__)

POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class PrivacyState:
    """Whether camera and microphone are to be closed, whether they are, and why."""

    on: bool
    closed: bool
    """On, and every device has really been closed."""
    by_file: bool
    """The hardware switch demands it; a command cannot lift it."""
    notice: str | None = None
    """A sentence for the person who flipped the switch: refused, not understood, or not closed yet."""


class PrivacySwitch:
    """Closes what sees and hears while a command, the start setting or the switch file demands it.

    It opens again only when none of them does. A switch file that cannot be read, or says neither 0 nor 1,
    counts as 1: a broken wire must not open the camera. `close` and `open`, and `on_change` with every new
    state, are called from the thread that polls.
    """

    def __init__(
        self,
        *,
        close: Callable[[], Sequence[str]],
        open_again: Callable[[], None],
        on_change: Callable[[PrivacyState], None],
        start_on: bool = False,
        switch_file: Path | None = None,
    ) -> None:
        """Take `close`, which gives the names of what would not close, and `open_again`; touches nothing yet."""
        self._close = close
        self._open_again = open_again
        self._on_change = on_change
        self._switch_file = switch_file
        self._file_fault: str | None = None
        self._demanded = start_on
        self._commands = threading.Condition()
        self._command: str | None = None
        self._refusal: str | None = None
        self._state = PrivacyState(on=False, closed=False, by_file=False)

    @property
    def state(self) -> PrivacyState:
        """The state as last announced."""
        return self._state

    def command(self, text: str) -> None:
        """Take a command from any thread, 'on' or 'off'; it is carried out at once, the newest if several wait."""
        with self._commands:
            self._command = text.strip().lower()
            self._commands.notify()

    def run(self, stop: threading.Event, beat: Beat) -> None:
        """Poll until stopped; the body of a component."""
        while not stop.is_set():
            self.poll()
            beat()
            with self._commands:
                self._commands.wait_for(lambda: self._command is not None, POLL_S)

    def poll(self) -> None:
        """Read the file, take the waiting command, close or open. Call it once before any device is opened."""
        by_file = self._read_file()
        self._obey(by_file)
        notice = self._refusal
        on = by_file or self._demanded
        closed = False
        if on:
            still_open = [] if self._state.closed else list(self._close())
            closed = not still_open
            if still_open:
                notice = f"privacy is on, but {' and '.join(still_open)} could not be closed yet; trying again"
        elif self._state.on:
            self._open_again()
        self._announce(PrivacyState(on, closed, by_file, notice))

    def _obey(self, by_file: bool) -> None:
        """Take the waiting command; what is said against it stands until the next, or until the switch is off."""
        with self._commands:
            command, self._command = self._command, None
        if command is None:
            if self._state.by_file and not by_file:
                self._refusal = None
        elif command not in {"on", "off"}:
            self._refusal = f"the privacy command {command[:40]!r} is not understood: send 'on' or 'off'"
        elif command == "off" and by_file:
            self._refusal = f"'off' is refused: the switch {self._switch_file} holds privacy on"
        else:
            self._refusal = None
            self._demanded = command == "on"

    def _read_file(self) -> bool:
        if self._switch_file is None:
            return False
        value, problem = "", None
        try:
            value = self._switch_file.read_text(encoding="ascii", errors="replace").strip()
        except OSError as fault:
            problem = f"cannot be read ({fault.strerror})"
        else:
            if value not in {"0", "1"}:
                problem = f"says {value[:20]!r}, not 0 or 1"
        if problem is not None and problem != self._file_fault:
            log.error("the privacy switch %s %s: privacy stays on until it is mended", self._switch_file, problem)
        self._file_fault = problem
        return value != "0"

    def _announce(self, state: PrivacyState) -> None:
        if state == self._state:
            return
        if state.notice is not None and state.notice != self._state.notice:
            log.warning("%s", state.notice)
        if (state.on, state.closed) != (self._state.on, self._state.closed):
            closed = "camera and microphone are closed" if state.closed else "closing camera and microphone"
            log.info("privacy is %s", f"on: {closed}" if state.on else "off")
        self._state = state
        self._on_change(state)

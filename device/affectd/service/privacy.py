"""The privacy switch: closes camera and microphone on a command or on a hardware switch, and reports it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from affectd.service.component import Beat
from affectd.service.privacy_sources import Demand, PrivacySources

log = logging.getLogger(__name__)

POLL_S = 0.5
RETRY_S = 10.0
"""How long to wait before a command is written again that the disk did not take."""


@dataclass(frozen=True, slots=True)
class PrivacyState:
    """Whether camera and microphone are to be closed, whether they are, and why."""

    on: bool
    closed: bool
    """On, and every device has really been closed."""
    by_file: bool
    """The hardware switch or the service on this box demands it; a command cannot lift it."""
    notice: str | None = None
    """For the person who flipped the switch: refused, not understood, not closed yet, a file that is no good."""


class PrivacySwitch:
    """Closes camera and microphone while a command, the start setting or the switch file demands it.

    It opens again only when none of them does. The last command is kept on disk before it is carried out, and
    holds over restarts: the start setting counts before the first alone. `close` and `open_again`, and `on_change`
    with every new state, are called from the thread that polls.
    """

    def __init__(
        self,
        sources: PrivacySources,
        *,
        close: Callable[[], Sequence[str]],
        open_again: Callable[[], None],
        on_change: Callable[[PrivacyState], None],
    ) -> None:
        """Take `close`, which returns the names of what did not close, and `open_again`; read the last command."""
        self._sources = sources
        self._close = close
        self._open_again = open_again
        self._on_change = on_change
        last = sources.command()
        self._demanded = sources.start_on if last is None else last.on
        self._command_fault = None if last is None else last.fault
        self._kept = None if last is None or last.fault else last.on
        """The command on disk, as far as it is known."""
        self._obeyed = self._kept
        """The last command; None before the first."""
        self._unkept: str | None = None
        self._keep_at = 0.0
        self._commands = threading.Condition()
        self._command: str | None = None
        self._refusal: str | None = None
        self._notices: list[str] = []
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
        switch = self._sources.switch()
        self._obey(switch)
        self._store_command()
        trouble = self._refusal
        on = switch.on or self._demanded
        closed = False
        if on:
            still_open = [] if self._state.closed else list(self._close())
            closed = not still_open
            if still_open:
                trouble = f"privacy is on, but {' and '.join(still_open)} could not be closed yet; trying again"
        elif self._state.on:
            self._open_again()
        notices = [each for each in (trouble, switch.fault, self._command_fault, self._unkept) if each is not None]
        self._announce(PrivacyState(on, closed, switch.on, "; ".join(notices) or None), notices)

    def _obey(self, switch: Demand) -> None:
        """Take the waiting command; why it is refused stands until the next, or until the switch is off."""
        with self._commands:
            command, self._command = self._command, None
        if command is None:
            if self._state.by_file and not switch.on:
                self._refusal = None
        elif command not in {"on", "off"}:
            self._refusal = f"the privacy command {command[:40]!r} is not understood: send 'on' or 'off'"
        elif command == "off" and switch.on:
            holds = switch.fault or f"the switch {self._sources.switch_file} holds privacy on"
            self._refusal = f"'off' is refused: {holds}"
        else:
            self._refusal = self._command_fault = None
            self._demanded = self._obeyed = command == "on"
            self._keep_at = 0.0

    def _store_command(self) -> None:
        """Have the disk keep the last command; what it does not take holds for this run, and is tried again."""
        if self._obeyed is None or self._obeyed == self._kept:
            self._unkept = None
            return
        if time.monotonic() < self._keep_at:
            return
        try:
            self._sources.keep(self._obeyed)
        except (OSError, MemoryError) as fault:
            why = fault.strerror if isinstance(fault, OSError) else "not enough memory"
            self._unkept = (
                f"{'on' if self._obeyed else 'off'!r} holds for this run only: {self._sources.command_file} cannot be "
                f"written ({why}); make room, or see who may write there"
            )
            self._kept = None  # what the disk has by now, nobody knows
            self._keep_at = time.monotonic() + RETRY_S
        else:
            self._kept, self._unkept = self._obeyed, None

    def _announce(self, state: PrivacyState, notices: list[str]) -> None:
        if state == self._state:
            return
        for notice in notices:
            if notice not in self._notices:
                log.warning("%s", notice)
        self._notices = notices
        if (state.on, state.closed) != (self._state.on, self._state.closed):
            closed = "camera and microphone are closed" if state.closed else "closing camera and microphone"
            log.info("privacy is %s", f"on: {closed}" if state.on else "off")
        self._state = state
        self._on_change(state)

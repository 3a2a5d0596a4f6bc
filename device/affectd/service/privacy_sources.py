"""What holds privacy on: the hardware switch's file, the last command, which is kept on disk, and the start setting."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from affectd.config import PrivacyConfig
from affectd.errors import CaptureError


@dataclass(frozen=True, slots=True)
class Demand:
    """What a file demands."""

    on: bool
    fault: str | None = None
    """A sentence about a file that is no good, and counts as on."""


@dataclass(frozen=True, slots=True)
class PrivacySources:
    """Asked by the daemon, which closes the devices, and by the commands that must not open them meanwhile."""

    command_file: Path
    """Holds the last command; not there before the first."""
    switch_file: Path | None = None
    start_on: bool = False
    """Whether privacy is on before the first command."""
    service: PrivacySources | None = None
    """Those of the service installed on this box, which hold for whoever else opens its camera and microphone."""

    @classmethod
    def beside(cls, outbox: Path, settings: PrivacyConfig, service: PrivacySources | None = None) -> PrivacySources:
        """Return what the settings name; the last command is kept beside the outbox."""
        switch_file = Path(settings.switch_file) if settings.switch_file else None
        return cls(outbox.with_name("privacy"), switch_file, settings.start_on, service)

    def switch(self) -> Demand:
        """Read what a command cannot lift: the hardware switch, and the installed service's privacy.

        A file that is no good counts as 1: a broken wire must not open the camera.
        """
        demand = Demand(on=False) if self.switch_file is None else _read(self.switch_file, on="1", off="0")
        if demand.fault is not None:
            return Demand(True, f"the privacy switch {demand.fault}: privacy stays on until it is mended")
        if not demand.on and self.service is not None and (reason := self.service.reason()) is not None:
            return Demand(True, f"the service on this box has privacy on: {reason}")
        return demand

    def command(self) -> Demand | None:
        """Read the last command; None before the first. A file that is no good counts as 'on'."""
        try:
            self.command_file.lstat()
        except FileNotFoundError:
            return None
        except OSError:
            pass  # reading it reports what is wrong
        demand = _read(self.command_file, on="on", off="off")
        if demand.fault is None:
            return demand
        return Demand(True, f"the last privacy command {demand.fault}: privacy stays on until 'off' is sent")

    def keep(self, on: bool) -> None:
        """Keep the last command: when this returns, a power cut does not undo it. Raises OSError."""
        new = self.command_file.with_name(f"{self.command_file.name}.new")
        with new.open("w", encoding="ascii") as file:
            file.write("on\n" if on else "off\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.command_file)
        folder = os.open(self.command_file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def reason(self) -> str | None:
        """Explain what holds privacy on; None while nothing does."""
        switch, command = self.switch(), self.command()
        if switch.on:
            return switch.fault or f"the switch {self.switch_file} says 1"
        if command is None:
            return "privacy.start_on is true, and no command was sent yet" if self.start_on else None
        if command.on:
            return command.fault or f"the last command was 'on' ({self.command_file}), and 'off' lifts it"
        return None

    def require_off(self) -> None:
        """Raise CaptureError while anything holds privacy on: for commands that would open camera or microphone."""
        reason = self.reason()
        if reason is not None:
            raise CaptureError(f"privacy is on, so camera and microphone stay closed: {reason}")


def _read(file: Path, *, on: str, off: str) -> Demand:
    """Read one of two words; the fault says what is wrong with the file."""
    try:
        word = file.read_text(encoding="utf-8-sig", errors="replace").strip()
    except OSError as fault:
        return Demand(True, f"{file} cannot be read ({fault.strerror})")
    if word not in {on, off}:
        return Demand(True, f"{file} says {word[:20]!r}, not {on} or {off}")
    return Demand(word == on)

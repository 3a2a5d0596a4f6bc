"""The program as a user has it: `affectd` in a process of its own, with a settings file and an outbox."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.broker import Mosquitto
from support.media import write_clip
from support.scenes import scene
from support.waiting import DEADLINE_S

DEVICE = "box"
CLIP = Path(__file__).parents[2] / "scripts" / "demo.mp4"


class Affectd:
    """`affectd run` with these settings, killed on leaving.

    `settings` are tables of the TOML file. The broker and its CA and password, the device's name and the
    outbox are filled in unless they are given; device and outbox stay the same for every start.
    """

    def __init__(self, folder: Path, broker: Mosquitto | None = None, /, **settings: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.settings_file = folder / "affectd.toml"
        self.log_file = folder / "affectd.log"
        """Standard error of all starts."""
        self.password_file = folder / "password"
        self.outbox = folder / "outbox.db"
        own: dict[str, Mapping[str, Any]] = {
            "device": {"id": DEVICE},
            "outbox": {"path": str(self.outbox)},
            "mqtt": {} if broker is None else self._mqtt(broker),
        }
        tables = {name: {**own.get(name, {}), **settings.get(name, {})} for name in {**own, **settings}}
        self.settings_file.write_text(toml(tables))
        self.started_through: list[str] = []
        """A command that executes the one behind it."""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Affectd:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, once more if it ran before."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.started_through, *command("run", "--config", str(self.settings_file))],
                env=environment(),
                stderr=log,
            )

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, deadline_s: float = DEADLINE_S) -> int:
        """Return the exit code; an AssertionError when it still runs after `deadline_s`."""
        assert self._process is not None
        try:
            return self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"affectd still runs after {deadline_s:g} s; its log:\n{self.log}") from None

    def kill(self) -> None:
        """End it as a power cut would; harmless when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """What it has said on standard error so far."""
        return self.log_file.read_text()

    def _mqtt(self, broker: Mosquitto) -> dict[str, Any]:
        mqtt: dict[str, Any] = {"host": broker.host, "port": broker.port, "health_s": 1.0}
        if broker.user:
            self.password_file.write_text(broker.password + "\n")
            mqtt |= {"username": broker.user, "password_file": str(self.password_file)}
        if broker.ca_file:
            mqtt |= {"tls": True, "ca_file": broker.ca_file}
        return mqtt


def command(*arguments: str) -> list[str]:
    """Return the command line of `affectd`."""
    return [sys.executable, "-m", "affectd.cli.main", *arguments]


def environment() -> dict[str, str]:
    """Return the environment without settings of affectd or of systemd."""
    ours = ("AFFECTD_", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "JOURNAL_STREAM")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def toml(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Write tables of strings, numbers and booleans; all of them look in TOML as they do in JSON."""
    lines = []
    for name, table in tables.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def blinking_person(path: Path, seconds: float = 1.0) -> Path:
    """Make a clip in which somebody stands before the camera for so long, and for as long nobody does."""
    person, nobody, count = scene((320, 220, 170)), scene(), round(10 * seconds)
    return write_clip(path, frames=[person] * count + [nobody] * count, fps=10)


RESTLESS: dict[str, Mapping[str, Any]] = {
    "face": {"detect_every": 1},
    "fusion": {"strategy": "face", "enter": 0.2, "leave": 0.1, "dwell_s": 0.0, "half_life_s": 0.05, "absent_s": 0.3},
}
"""Settings with which everyone who comes or goes is an event at once."""

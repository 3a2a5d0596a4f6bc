"""What a service manager sees: ready after the first pass, a sentence, signs of life, and one daemon an outbox."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from affectd.config.file import load
from affectd.daemon import Daemon
from affectd.service.notify import Notifier
from e2e.program import CLIP, RESTLESS, Affectd, blinking_person, command, environment
from support.broker import Mosquitto
from support.waiting import DEADLINE_S, until

WATCHDOG_US = "4000000"


class Manager:
    """The service manager's end of a notify socket; keeps all that arrives."""

    def __init__(self, path: Path) -> None:
        self.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": WATCHDOG_US}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self._said: list[str] = []

    @property
    def said(self) -> list[str]:
        """Every message so far, in order."""
        while True:
            try:
                self._said.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return list(self._said)

    @property
    def pings(self) -> int:
        return self.said.count("WATCHDOG=1")

    @property
    def sentence(self) -> str:
        """The newest STATUS."""
        return next((message for message in reversed(self.said) if message.startswith("STATUS=")), "")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


@contextmanager
def daemon_of(manager: Manager, affectd: Affectd) -> Iterator[subprocess.Popen[bytes]]:
    """Run it with the manager's socket."""
    line = command("run", "--config", str(affectd.settings_file))
    with (
        affectd.log_file.open("ab") as log,
        subprocess.Popen(line, env=environment() | manager.environment, stderr=log) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def test_ready_comes_once_and_the_sentence_follows_the_broker(
    broker: Mosquitto, tmp_path: Path, manager: Manager
) -> None:
    clip = blinking_person(tmp_path / "blinking.mp4")
    affectd = Affectd(tmp_path, broker, camera={"source": str(clip)}, clip={"loop": True}, **RESTLESS)
    with daemon_of(manager, affectd) as process:
        until(lambda: "READY=1" in manager.said)
        until(lambda: "all parts running; broker connected" in manager.sentence)
        until(lambda: manager.pings >= 2)
        broker.kill()
        until(lambda: "broker away" in manager.sentence)
        before = manager.pings
        until(lambda: manager.pings >= before + 2)  # a broker that is away is no reason to be killed
        broker.start()
        until(lambda: "broker connected" in manager.sentence)
        process.terminate()
        assert process.wait(DEADLINE_S) == 0
    assert manager.said.count("READY=1") == 1
    assert manager.said[-1] == "STOPPING=1"


def test_what_is_off_or_waited_for_is_no_reason_to_be_killed(
    broker: Mosquitto, tmp_path: Path, manager: Manager
) -> None:
    affectd = Affectd(
        tmp_path,
        broker,
        camera={"source": "/dev/video97"},
        microphone={"source": "off"},
        fusion={"strategy": "face"},
    )
    with daemon_of(manager, affectd):
        until(lambda: "READY=1" in manager.said and "camera waiting" in manager.sentence)
        until(lambda: manager.pings >= 3)
    said_before_ready = manager.said[: manager.said.index("READY=1")]
    assert "WATCHDOG=1" not in said_before_ready[:1]


def test_privacy_is_no_reason_to_be_killed(broker: Mosquitto, tmp_path: Path, manager: Manager) -> None:
    affectd = Affectd(tmp_path, broker, camera={"source": str(CLIP)}, privacy={"start_on": True})
    with daemon_of(manager, affectd):
        until(lambda: "READY=1" in manager.said and "privacy is on" in manager.sentence)
        until(lambda: manager.pings >= 3)


def test_a_wedged_part_costs_the_signs_of_life(broker: Mosquitto, tmp_path: Path, manager: Manager) -> None:
    clip = blinking_person(tmp_path / "blinking.mp4")
    affectd = Affectd(tmp_path, broker, camera={"source": str(clip)}, clip={"loop": True}, **RESTLESS)
    daemon = Daemon(load(affectd.settings_file, {}), notifier=Notifier(manager.environment))
    stop = threading.Event()
    thread = threading.Thread(target=daemon.run, args=(stop,))
    thread.start()
    try:
        until(lambda: manager.pings >= 1)
        with daemon._outbox._lock:  # as a disk that never answers would hold it
            time.sleep(5)  # a ping that is due at the beginning may still go out
            before = manager.pings
            time.sleep(5)
            assert manager.pings == before
        until(lambda: manager.pings > before)
    finally:
        stop.set()
        thread.join(30)


def test_a_second_daemon_on_the_same_outbox_is_turned_away(broker: Mosquitto, tmp_path: Path, manager: Manager) -> None:
    affectd = Affectd(tmp_path, broker, camera={"source": str(CLIP)}, clip={"loop": True})
    with daemon_of(manager, affectd) as first:
        until(lambda: "READY=1" in manager.said)
        line = command("run", "--config", str(affectd.settings_file))
        second = subprocess.run(line, env=environment(), stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        assert second.returncode == 7
        assert f"in use by process {first.pid}; stop the other affectd" in second.stderr.splitlines()[-1]
        assert "Traceback" not in second.stderr
        assert first.poll() is None
        check = subprocess.run(
            command("check", "--config", str(affectd.settings_file)),
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
            timeout=90,
            check=False,
        )
        assert f"in use by process {first.pid}" in check.stdout

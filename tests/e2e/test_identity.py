"""Who a box is without device.id, in machines that differ as those of one image do: namespaces of their own for host
name and machine-id, the program, and the broker of systemd/mosquitto."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.program import CLIP, command, environment, toml
from support.broker import free_port
from support.example_broker import ExampleBroker, password_of
from support.fleet import Subscriber
from support.waiting import until

IMAGE = {
    "camera": {"source": str(CLIP)},
    "clip": {"loop": True},
    "fusion": {"dwell_s": 0.0, "half_life_s": 0.05},
    "microphone": {"source": "off"},
}


class Box:
    """One machine with the image on it; a state directory, a host name and a machine-id are its own."""

    def __init__(self, folder: Path, *, number: int = 1, host: str = "kiosk", port: int = 0) -> None:
        self.host, self.state = host, folder / "state"
        self.state.mkdir(parents=True)
        self.machine_id, self.password = folder / "machine-id", folder / "password"
        self.machine_id.write_text(f"{number:032x}\n" if number else "")
        self.password.touch()
        mqtt = {"port": port or free_port(), "password_file": str(self.password)}
        self.settings = folder / "affectd.toml"
        self.settings.write_text(toml({**IMAGE, "mqtt": mqtt}))
        self.log = folder / "log"

    def line(self, *arguments: str) -> list[str]:
        script = (
            'mount --bind "$1" /etc/machine-id && printf %s "$2" >/proc/sys/kernel/hostname && shift 2 && exec "$@"'
        )
        inside = ["unshare", "--mount", "--uts", "sh", "-euc", script, "-", str(self.machine_id), self.host]
        return [*inside, *command(*arguments)]

    @property
    def variables(self) -> dict[str, str]:
        return {**environment(), "STATE_DIRECTORY": str(self.state)}

    def identity(self, **environ: str) -> dict[str, str]:
        """What `affectd check` finds."""
        off = {"AFFECTD_CAMERA_SOURCE": "off", "AFFECTD_INFERENCE_FACE": "off", "AFFECTD_INFERENCE_VOICE": "off"}
        line = self.line("check", "--json", "--config", str(self.settings))
        ended = subprocess.run(
            line, env={**self.variables, **off, **environ}, capture_output=True, text=True, timeout=60, check=False
        )
        found = {finding["part"]: finding for finding in json.loads(ended.stdout)}
        return dict(found["identity"])

    @property
    def id(self) -> str:
        return self.identity()["found"].partition(":")[0]

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        with self.log.open("ab") as log:
            line = self.line("run", "--config", str(self.settings))
            process = subprocess.Popen(line, env=self.variables, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def test_three_boxes_of_one_image_publish_side_by_side(tmp_path: Path) -> None:
    with ExampleBroker(tmp_path / "broker", ["viewer"]) as broker:
        boxes = [Box(tmp_path / str(n), number=n, port=broker.port) for n in (1, 2, 3)]
        ids = [box.id for box in boxes]
        assert len(set(ids)) == 3
        for box in boxes:  # as systemd/README.md says: what check shows is the user name
            broker.add_user(box.id)
            box.password.write_text(password_of(box.id))
        subscriber = Subscriber(broker)
        subscriber.come()
        with boxes[0].running(), boxes[1].running(), boxes[2].running():
            until(lambda: {device for device, _ in subscriber.times} == set(ids), 60)
        subscriber.leave()
        connected = re.findall(r"New client connected from \S+ as affectd-(\S+) ", broker.log)
        assert sorted(connected) == sorted(ids)  # nobody was thrown out and came again
        assert max(subscriber.times.values()) == 1
    for box, name in zip(boxes, ids, strict=True):
        assert f"this box is {name} (from the host name 'kiosk' and this machine's machine-id" in box.log.read_text()


def test_the_id_stays_when_the_host_name_changes_and_goes_when_the_card_is_cloned(tmp_path: Path) -> None:
    box = Box(tmp_path / "box")
    before = box.id
    with box.running():
        until((box.state / "device-id").exists, 60)
    box.host = "lobby"
    assert box.identity()["found"] == f"{before}: kept in {box.state}/device-id"
    box.machine_id.write_text(f"{2:032x}\n")  # the card, in another machine
    assert box.id not in {before, before.replace("kiosk", "lobby")}


def test_a_system_that_nothing_is_known_of_draws_a_number(tmp_path: Path) -> None:
    ids = set()
    for name in ("a", "b"):
        box = Box(tmp_path / name, number=0)
        found = box.identity()
        assert (found["state"], "set device.id" in found["advice"]) == ("warning", True)
        with box.running():
            until((box.state / "device-id").exists, 60)
        assert box.identity()["state"] == "ok"
        ids.add(box.id)
    assert len(ids) == 2


def test_a_state_directory_that_takes_nothing_does_not_keep_the_daemon_from_its_id(tmp_path: Path) -> None:
    box = Box(tmp_path)
    (box.state / "device-id").mkdir()  # nothing can be written there
    with box.running() as process:
        until(lambda: "this box is" in box.log.read_text(), 60)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) == 0
    assert f"this box is {box.id} (" in box.log.read_text()


@pytest.mark.parametrize("host", ["каса", "192.168.1.20", "KIOSK", "x" * 64, "-" * 64, "caf\udce9"])
def test_check_shows_an_id_for_every_host_name_and_the_name_that_it_comes_from(tmp_path: Path, host: str) -> None:
    found = Box(tmp_path, host=host).identity()
    name, _, source = found["found"].partition(": ")
    assert re.fullmatch(r"[a-z0-9_-]{10,64}", name)
    assert not name.startswith("-")
    shown = host if host.isprintable() else "caf\\U0000dce9"
    assert source.startswith(f"from the host name '{shown}' and this machine's machine-id")
    assert Box(tmp_path / "set").identity(AFFECTD_DEVICE_ID="Lobby")["found"] == "Lobby: device.id in the settings"

"""scripts/uninstall-device on a box in a namespace, with its broker there and away."""

from __future__ import annotations

from pathlib import Path

import pytest
from paho.mqtt.client import MQTTv5
from paho.mqtt.publish import multiple

from affectd.publish.topics import Topics
from support.broker import Listener, Mosquitto
from support.installed_box import InstalledBox

TOPICS = Topics("affectd", "kiosk")


@pytest.fixture
def box(tmp_path: Path) -> InstalledBox:
    (tmp_path / "box").mkdir()
    return InstalledBox(tmp_path / "box")


def settings(broker: Mosquitto) -> str:
    return f'[device]\nid = "kiosk"\n[mqtt]\nhost = "localhost"\nport = {broker.port}\n'


def publish(broker: Mosquitto, *topics: str) -> None:
    multiple(
        [{"topic": topic, "payload": "kept", "qos": 1, "retain": True} for topic in topics],
        port=broker.plain_port, protocol=MQTTv5,
        auth={"username": broker.user, "password": broker.password} if broker.user else None,
    )  # fmt: skip


def kept(broker: Mosquitto) -> set[str]:
    with Listener(broker, "#") as listener:
        listener.publish("marker", "behind all that is kept")
        listener.wait_for(lambda _: listener.on("marker"))
        return {message.topic for message in listener.messages} - {"marker"}


def test_purge_takes_the_box_off_the_broker_too(box: InstalledBox, tmp_path: Path) -> None:
    """With the service's own password; what other boxes have there stays."""
    with Mosquitto(tmp_path, user="kiosk", password="right") as broker:
        box.install(settings(broker))
        box.password.write_text("right\n")
        publish(broker, *TOPICS.retained, "affectd/lobby/state")
        ended = box.uninstall("--purge")
        assert ended.returncode == 0, ended.stderr
        assert kept(broker) == {"affectd/lobby/state"}
    assert not box.etc.exists()
    assert not box.state.exists()


def test_a_broker_that_is_away_does_not_stop_it(box: InstalledBox, tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)  # never started
    box.install(settings(broker))
    ended = box.uninstall("--purge")
    assert ended.returncode == 0, ended.stderr
    assert "refuses connections" in ended.stderr
    assert f"affectd forget kiosk --host localhost --port {broker.port}" in ended.stderr
    assert "uninstalling goes on" in ended.stderr
    assert not box.etc.exists()


def test_without_purge_settings_and_what_the_broker_keeps_stay(box: InstalledBox, broker: Mosquitto) -> None:
    box.install(settings(broker))
    publish(broker, *TOPICS.retained)
    ended = box.uninstall()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert kept(broker) == set(TOPICS.retained)
    assert box.settings.exists()
    assert not (tmp := box.settings.parents[2] / "opt" / "affectd").exists(), tmp

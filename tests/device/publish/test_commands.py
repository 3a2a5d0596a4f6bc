"""What a device lets itself be told: small, seldom enough, and nothing but what it knows."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paho.mqtt.publish import single

from affectd.cli.embedded_broker import EmbeddedBroker
from affectd.publish import message_throttle
from affectd.publish.publisher import LONGEST_COMMAND
from affectd.publish.session import LARGEST_ARRIVING
from support.broker import Listener, Mosquitto
from support.publishing import TOPICS, Running, running
from support.waiting import until


@contextmanager
def listening(broker: Mosquitto, folder: Path) -> Iterator[Running]:
    """A device that has subscribed to its commands."""
    with running(broker.port, folder) as box:
        until(lambda: len(re.findall("Sending SUBACK to affectd-box", broker.log)) >= 2)
        yield box


def test_a_device_hears_its_own_commands_and_home_assistant_and_nothing_else(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker, "nothing") as hand, listening(broker, tmp_path) as box:
        asked_for = set(re.findall(r"^\d+: affectd-box \d (\S+)$", broker.log, re.MULTILINE))
        assert asked_for == {TOPICS.commands, TOPICS.home_assistant_status}
        for topic in (f"{TOPICS.root}/command", "affectd/other/command/privacy"):
            hand.publish(topic, "on")
        hand.publish(TOPICS.privacy_command, "off")
        until(lambda: box.commands)
        assert (box.commands, box.publisher.status.ignored) == (["off"], 0)


def test_commands_that_there_are_not_are_told_once_and_not_obeyed(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reboot = f"{TOPICS.root}/command/reboot"
    with Listener(broker, "nothing") as hand:
        hand.publish(reboot, "now", retain=True)
        with listening(broker, tmp_path) as box:
            for payload in (b"on", b"", b"\xff\xfe", b"on" * 1000):
                hand.publish(reboot, payload)
            for number in range(100):
                hand.publish_soon(f"{TOPICS.root}/command/made-up-{number}", "on")
            hand.publish(TOPICS.privacy_command, "on")
            until(lambda: box.commands)
            assert (box.commands, box.publisher.status.ignored) == (["on"], 105)
    assert caplog.text.count(f"ignored a message on '{reboot}': there is no such command") == 1
    assert caplog.text.count("there is no such command") == message_throttle.UNKNOWN_LOGGED


@pytest.mark.parametrize("payload", [b"", b"ON\x00", b"toggle", b"0", b"on off", b"on" + b" " * LONGEST_COMMAND])
def test_only_on_and_off_are_understood(broker: Mosquitto, tmp_path: Path, payload: bytes) -> None:
    with Listener(broker, "nothing") as hand, listening(broker, tmp_path) as box:
        hand.publish(TOPICS.privacy_command, payload)
        until(lambda: box.publisher.status.ignored == 1)
        hand.publish(TOPICS.privacy_command, "on")
        until(lambda: box.commands == ["on"])


def test_a_large_message_stays_with_the_broker(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker, "nothing") as hand, listening(broker, tmp_path) as box:
        hand.publish(TOPICS.privacy_command, b"on" * LARGEST_ARRIVING)
        hand.publish(TOPICS.privacy_command, "off")
        until(lambda: box.commands)
        assert (box.commands, box.publisher.status.ignored) == (["off"], 0)
        assert box.connected


def send(broker: EmbeddedBroker, command: str) -> None:
    single(TOPICS.privacy_command, command, qos=1, hostname="127.0.0.1", port=broker.port)


def test_a_large_message_by_mqtt_3_1_1_is_ignored(tmp_path: Path) -> None:
    with EmbeddedBroker() as broker, running(broker.port, tmp_path) as box:
        until(lambda: box.connected)
        while not box.publisher.status.ignored:  # until it has subscribed
            send(broker, "on" * LARGEST_ARRIVING)
        send(broker, "off")
        until(lambda: box.commands)
        assert box.commands == ["off"]
        assert box.connected


def test_a_flood_of_commands_is_slowed_down_its_last_obeyed_and_events_flow(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flood = 5000
    with (
        Mosquitto(tmp_path, more="max_queued_messages 0\nmax_inflight_messages 0\n") as broker,
        Listener(broker, TOPICS.event) as listener,
        listening(broker, tmp_path) as box,
    ):
        began = time.monotonic()
        for number in range(flood):
            listener.publish_soon(TOPICS.privacy_command, ("on", "off")[number % 2])
        box.publish_events(5)
        listener.wait_for(lambda messages: len(messages) == 5)
        listener.publish(TOPICS.privacy_command, "ON")
        until(lambda: len(re.findall("Sending PUBLISH to affectd-box", broker.log)) > flood)
        time.sleep(2 / message_throttle.TAKEN_PER_S)  # its turn
        until(lambda: box.commands[-1] == "on")
        took = time.monotonic() - began
        assert len(box.commands) <= message_throttle.TAKEN_AT_ONCE + message_throttle.TAKEN_PER_S * took + 1
        assert box.connected
    assert "come too fast: of each topic only the newest is looked at" in caplog.text
    assert caplog.text.count("come too fast") == 1


def test_rubbish_that_comes_again_and_again_is_said_once(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Listener(broker, "nothing") as hand, listening(broker, tmp_path) as box:
        for _ in range(10):
            hand.publish(TOPICS.privacy_command, "toggle")
        until(lambda: box.publisher.status.ignored == 10)
    assert caplog.text.count(f"ignored 6 bytes on {TOPICS.privacy_command}: only 'on' and 'off'") == 1

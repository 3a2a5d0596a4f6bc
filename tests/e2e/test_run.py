"""`affectd run` as a process, from a clip to an MQTT client that has nothing of the product in it."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.completeness import waiting
from e2e.contract import Channel, published_channels
from e2e.program import CLIP, DEVICE, RESTLESS, Affectd, blinking_person
from support.broker import Listener, Message, Mosquitto

ROOT = f"affectd/{DEVICE}"
SENT = re.compile(rf"Received PUBLISH from affectd-{DEVICE} \(d\d, q(\d), r(\d), m\d+, '([^']+)'")


@pytest.fixture
def guarded_broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that wants a password and speaks TLS only."""
    with Mosquitto(tmp_path, user="affectd", password="only for this test", tls=True) as mosquitto:
        yield mosquitto


def channel_of(topic: str, channels: list[Channel]) -> Channel:
    matching = [channel for channel in channels if channel.pattern.fullmatch(topic)]
    assert len(matching) == 1, f"{topic} is not declared, or more than once"
    return matching[0]


def has_ended(messages: list[Message]) -> bool:
    return any(m.topic == f"{ROOT}/availability" and m.payload == b"offline" for m in messages)


def test_all_that_is_published_is_as_the_contract_says(guarded_broker: Mosquitto, tmp_path: Path) -> None:
    with (
        Listener(guarded_broker, "#") as listener,
        Affectd(
            tmp_path,
            guarded_broker,
            camera={"source": str(CLIP)},
            clip={"realtime": False},
            mqtt={"faces": True, "voice": True},
        ) as daemon,
    ):
        assert daemon.wait() == 0, daemon.log
        messages = listener.wait_for(has_ended)
    channels = published_channels()
    for message in messages:
        channel_of(message.topic, channels).validate(message)
    assert {channel_of(message.topic, channels).name for message in messages} == {channel.name for channel in channels}

    published = SENT.findall(guarded_broker.log)
    assert len(published) >= len(messages)
    for qos, retain, topic in published:
        channel = channel_of(topic, channels)
        assert (int(qos), retain == "1") == (channel.qos, channel.retain), topic
    with Listener(guarded_broker, "#") as latecomer:
        kept = latecomer.wait_for(lambda kept: len(kept) >= sum(channel.retain for channel in channels))
    assert {channel_of(message.topic, channels).name for message in kept if message.retain} == {
        channel.name for channel in channels if channel.retain
    }

    availability = [message.payload for message in listener.on(f"{ROOT}/availability")]
    assert availability == [b"online", b"offline"]
    # A state, health and the rest that are of this run stand there before it is called online.
    topics = [message.topic.removeprefix(f"{ROOT}/") for message in messages]
    assert {"state", "people", "health", "info", "privacy"} <= set(topics[: topics.index("availability")])
    assert messages[-1].topic == f"{ROOT}/availability"
    events = [message.json for message in listener.on(f"{ROOT}/event")]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert any(event["emotion"] for event in events)
    assert len({event["id"] for event in events}) == len(events)
    assert any(message.json["faces"] for message in listener.on(f"{ROOT}/faces"))
    assert any(message.json["active"] for message in listener.on(f"{ROOT}/voice"))
    health = listener.on(f"{ROOT}/health")[-1].json
    assert (health["outbox_dropped"], health["events_denied"]) == (0, 0)
    assert waiting(daemon.outbox) == 0
    assert guarded_broker.password not in daemon.log
    assert "Traceback" not in daemon.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_ends_it_cleanly(
    number: signal.Signals, guarded_broker: Mosquitto, tmp_path: Path
) -> None:
    clip = blinking_person(tmp_path / "blinking.mp4")
    with (
        Listener(guarded_broker, f"{ROOT}/#") as listener,
        Affectd(tmp_path, guarded_broker, camera={"source": str(clip)}, clip={"loop": True}, **RESTLESS) as daemon,
    ):
        listener.wait_for(lambda messages: any(message.topic == f"{ROOT}/event" for message in messages))
        assert not has_ended(listener.messages)
        daemon.send(number)
        assert daemon.wait() == 0, daemon.log
        messages = listener.wait_for(has_ended)
    assert messages[-1] == (f"{ROOT}/availability", b"offline", False)
    assert "Traceback" not in daemon.log

"""Availability, retained documents, the privacy command, and Home Assistant's discovery."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any, get_args

import pytest

from affectd.backoff import Backoff
from affectd.config import Config
from affectd.events import LABELS, Reason
from affectd.publish import document_sender
from support.broker import Listener, Message, Mosquitto
from support.message_schemas import SCHEMAS
from support.publishing import TOPICS, running, start_process, state
from support.waiting import until


def payloads(messages: list[Message], topic: str) -> list[bytes]:
    return [message.payload for message in messages if message.topic == topic]


# Availability.


def test_a_clean_stop_says_offline(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker, TOPICS.availability) as listener:
        with running(broker.port, tmp_path):
            listener.wait_for(lambda messages: len(messages) == 1)
        listener.wait_for(lambda messages: len(messages) == 2)
        assert payloads(listener.messages, TOPICS.availability) == [b"online", b"offline"]
    with Listener(broker, TOPICS.availability) as late:
        assert late.wait_for(len) == [Message(TOPICS.availability, b"offline", True)]


def test_the_last_will_says_offline_for_a_publisher_that_was_killed(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker, TOPICS.availability) as listener:
        process = start_process(broker.port, tmp_path, 100_000)
        listener.wait_for(lambda messages: payloads(messages, TOPICS.availability) == [b"online"])
        process.kill()
        process.communicate()
        listener.wait_for(lambda messages: payloads(messages, TOPICS.availability) == [b"online", b"offline"])
    with Listener(broker, TOPICS.availability) as late:
        assert late.wait_for(len)[0].payload == b"offline"


def test_it_is_online_again_after_the_broker_came_back(broker: Mosquitto, tmp_path: Path) -> None:
    with running(broker.port, tmp_path) as box:
        until(lambda: box.connected)
        broker.restart()
        with Listener(broker, TOPICS.availability) as listener:
            listener.wait_for(lambda messages: payloads(messages, TOPICS.availability)[-1:] == [b"online"])


# Retained documents.


def test_the_retained_state_is_the_newest_after_a_reconnect(broker: Mosquitto, tmp_path: Path) -> None:
    with running(broker.port, tmp_path) as box:
        until(lambda: box.connected)
        box.publisher.publish_state(state("happy"), time.monotonic())
        broker.kill()
        until(lambda: not box.connected)
        for emotion in ("sad", "fear", "angry"):
            box.publisher.publish_state(state(emotion), time.monotonic())
        broker.start()
        until(lambda: box.connected)
        with Listener(broker, TOPICS.state) as listener:
            listener.wait_for(lambda messages: messages and messages[-1].json["emotion"] == "angry")


def test_a_new_broker_gets_every_retained_document(tmp_path: Path) -> None:
    first = Mosquitto(tmp_path / "first")
    second = Mosquitto(tmp_path / "second")
    with running(first.port, tmp_path) as box:
        with first:
            until(lambda: box.connected)
            box.publisher.publish_state(state(), time.monotonic())
            box.publisher.publish_privacy(False)
        # Same address, empty store.
        config = (second.folder / "mosquitto.conf").read_text().replace(str(second.port), str(first.port))
        (second.folder / "mosquitto.conf").write_text(config)
        second.port = first.port
        with second, Listener(second, "#") as listener:
            expected = {TOPICS.availability, TOPICS.state, TOPICS.privacy, TOPICS.discovery}
            listener.wait_for(lambda messages: {message.topic for message in messages} >= expected)


@pytest.mark.parametrize("denied", [(TOPICS.discovery,), (TOPICS.discovery, TOPICS.state)])
def test_what_the_acl_denies_is_told_once_and_offered_again(
    tmp_path: Path, denied: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(document_sender, "REFUSED_WAIT_S", 0.3)
    monkeypatch.setattr(document_sender, "COSTLY_RETRY", Backoff(0.6, 3600.0))
    deny = "".join(f"topic deny {topic}\n" for topic in denied) + "topic readwrite #\n"
    refusals = [f"the broker does not take {topic} (Not authorized); see its ACL" for topic in denied]
    with (
        Mosquitto(tmp_path, acl=deny) as broker,
        Listener(broker, "#") as listener,
        running(broker.port, tmp_path) as box,
    ):
        box.publisher.publish_state(state(), time.monotonic())
        until(lambda: all(topic in box.last_error for topic in denied))
        assert "see its ACL" in box.last_error
        time.sleep(1.5)  # it is offered some times more
        broker.restart()
        until(lambda: box.publisher.status.reconnects >= 1 and box.connected)
        until(lambda: all(topic in box.last_error for topic in denied))
        assert [caplog.text.count(refusal) for refusal in refusals] == [1] * len(denied)
        box.publish_events(1)
        until(lambda: box.outbox.depth == 0)

        broker.change_acl("topic readwrite #\n")
        listener.wait_for(lambda _: all(listener.on(topic) for topic in denied))
        until(lambda: box.last_error == "")
        reloads = broker.log.count("Reloading config")
        broker.change_acl(deny)
        until(lambda: broker.log.count("Reloading config") > reloads)
        listener.publish(ONLINE, "online")
        until(lambda: caplog.text.count(refusals[0]) == 2)


def test_a_broker_that_hangs_up_at_a_refusal_gets_all_the_rest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As mosquitto 2.0.11 does with max_queued_messages 0, which systemd/mosquitto/affectd.conf says."""
    denied = (TOPICS.discovery, TOPICS.privacy)
    deny = "".join(f"topic deny {topic}\n" for topic in denied) + "topic readwrite #\n"
    with Mosquitto(tmp_path, acl=deny, more="max_queued_messages 0\n") as broker, running(broker.port, tmp_path) as box:
        box.publisher.publish_privacy(False)
        until(lambda: all(topic in box.last_error for topic in denied))
        until(lambda: box.connected and box.publisher.status.reconnects >= len(denied))
        before = box.publisher.status.reconnects
        assert before <= 4 * len(denied)  # where the hang-up overtakes the refusal, it is tried again
        for emotion in ("happy", "sad", "fear"):  # the refused document is made anew, and not sent
            box.publisher.publish_privacy(False)
            box.publisher.publish_state(state(emotion), time.monotonic())
            box.publish_events(2)
            until(lambda: box.outbox.depth == 0)
        assert box.publisher.status.reconnects <= before + 2  # a refusal may come late on a busy machine
        broker.change_acl("topic readwrite #\n")
        box.publisher._session._outgoing.documents.offer_again()
        until(lambda: box.connected and box.last_error == "")
    # Of hang-ups that overtake their refusals nothing is known but that they come soon after connecting.
    assert before > len(denied) or "client id" not in caplog.text


# The privacy command.


def test_privacy_commands_are_taken_and_anything_else_is_ignored(broker: Mosquitto, tmp_path: Path) -> None:
    topic = TOPICS.privacy_command
    with Listener(broker, "nothing") as hand, running(broker.port, tmp_path) as box:
        until(lambda: box.connected)
        hand.wait_for(lambda _: "SUBACK to affectd-box" in broker.log)
        for payload in (b"on", b"", b"maybe", b"\xff\xfe", b"on" + b" " * 1000, b'{"on":true}', b"OFF"):
            hand.publish(topic, payload)
        until(lambda: len(box.commands) == 2)
        assert box.commands == ["on", "off"]
        assert box.publisher.status.ignored == 5
        assert box.connected


def test_a_retained_command_is_ignored_at_every_connect(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker, "nothing") as hand:
        hand.publish(TOPICS.privacy_command, "off", retain=True)
        with running(broker.port, tmp_path) as box:
            until(lambda: box.publisher.status.ignored == 1)
            broker.restart()
            until(lambda: box.publisher.status.ignored == 2)
            assert box.commands == []


# Discovery.

ONLINE = "homeassistant/status"


def test_discovery_is_published_on_connect_and_again_when_home_assistant_starts(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with Listener(broker, TOPICS.discovery) as listener, running(broker.port, tmp_path) as box:
        listener.wait_for(lambda messages: len(messages) == 1)
        listener.publish(ONLINE, "offline")
        listener.publish(ONLINE, "online")
        listener.wait_for(lambda messages: len(messages) == 2)
        assert box.connected
        broker.restart()
        # Not more than these three: `offline` was no reason. The listener may be back too late to see the third.
        until(lambda: len(re.findall(f"Received PUBLISH from affectd-box .*{TOPICS.discovery}", broker.log)) == 3)
        assert box.publisher.status.ignored == 0
    with Listener(broker, TOPICS.discovery) as late:
        assert late.wait_for(len)[0].retain


def test_an_empty_prefix_turns_discovery_off(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker, "#") as listener, running(broker.port, tmp_path, discovery_prefix=""):
        listener.wait_for(lambda _: listener.on(TOPICS.availability))
        listener.publish("marker", "1")
        listener.wait_for(lambda _: listener.on("marker"))
        assert {message.topic for message in listener.messages} == {TOPICS.availability, "marker"}


@pytest.mark.parametrize("birth", ["ha/box/status", ONLINE])
def test_either_birth_topic_announces_it_below_another_prefix(broker: Mosquitto, tmp_path: Path, birth: str) -> None:
    """Home Assistant's birth message stays where it was when its discovery prefix is changed."""
    discovery = "ha/box/device/box/config"
    with Listener(broker, discovery) as listener, running(broker.port, tmp_path, discovery_prefix="ha/box"):
        listener.wait_for(lambda messages: len(messages) == 1)
        listener.publish(birth, "online")
        listener.wait_for(lambda messages: len(messages) == 2)


def announced(
    broker: Mosquitto,
    folder: Path,
    has: tuple[str, ...] = ("camera", "microphone", "thermometer"),
    **mqtt: float,
) -> Any:
    with Listener(broker, TOPICS.discovery) as listener, running(broker.port, folder, **mqtt) as box:
        listener.wait_for(len)
        box.publisher.describe(Config(), has)
        listener.publish("homeassistant/status", "online")
        return listener.wait_for(lambda messages: len(messages) > 1)[-1].json


def test_discovery_has_what_home_assistant_requires(broker: Mosquitto, tmp_path: Path) -> None:
    """`device` and `origin` are mandatory at the root; every component needs a platform and a unique id,
    and what its platform requires."""
    document = announced(broker, tmp_path)
    assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", TOPICS.discovery)
    assert document["device"]["identifiers"]
    assert document["device"]["name"] == "Box"
    assert document["origin"]["name"] == "affectd"
    assert document["availability"] == [{"topic": TOPICS.availability}]
    # Home Assistant drops a component that ends up with both, its own and the one at the root.
    assert not any("availability_topic" in part for part in (document, *document["components"].values()))
    assert len({component["default_entity_id"] for component in document["components"].values()}) == len(
        document["components"]
    )
    assert document["components"]["emotion"]["default_entity_id"] == "sensor.affectd_box_emotion"
    components = document["components"]
    required = {
        "sensor": {"state_topic"},
        "binary_sensor": {"state_topic"},
        "switch": {"command_topic"},
        "event": {"state_topic", "event_types"},
    }
    for component in components.values():
        assert {"unique_id", "name"} | required[component["platform"]] <= component.keys()
    unique_ids = [component["unique_id"] for component in components.values()]
    assert len(set(unique_ids)) == len(unique_ids)

    emotion = components["emotion"]
    assert emotion["device_class"] == "enum"
    assert set(emotion["options"]) == set(LABELS)
    assert set(components["reason"]["options"]) == set(get_args(Reason))
    assert not {"state_class", "unit_of_measurement"} & emotion.keys()  # not allowed beside `options`
    assert set(components["change"]["event_types"]) == {*LABELS, *get_args(Reason)} - {"shown"}
    privacy = components["privacy"]
    assert (privacy["command_topic"], privacy["state_topic"]) == (TOPICS.privacy_command, TOPICS.privacy)
    assert (privacy["payload_on"], privacy["payload_off"]) == ("on", "off")


def test_discovery_reads_only_fields_that_the_messages_have(broker: Mosquitto, tmp_path: Path) -> None:
    kinds = {TOPICS.state: "state", TOPICS.event: "event", TOPICS.health: "health", TOPICS.people: "people"}
    for component in announced(broker, tmp_path)["components"].values():
        templates = component.get("value_template", "") + component.get("json_attributes_template", "")
        fields = set(re.findall(r"value_json\.(\w+)", templates))
        if fields:
            assert fields <= SCHEMAS[f"{kinds[component['state_topic']]}.schema.json"]["properties"].keys()


def test_a_topic_that_is_cleared_is_no_error_to_home_assistant(broker: Mosquitto, tmp_path: Path) -> None:
    """A removed box is cleared topic by topic, and its entities still read the first of them."""
    for component in announced(broker, tmp_path)["components"].values():
        if component["state_topic"] != TOPICS.event:  # never retained, so never cleared
            templates = [component.get("value_template"), component.get("json_attributes_template")]
            templates += [one.get("value_template") for one in component.get("availability", [])]
            for template in filter(None, templates):
                assert re.fullmatch(r"\{\{ .+ if value_json is defined else .+ \}\}", template)


def test_what_the_box_has_not_is_removed_from_home_assistant(broker: Mosquitto, tmp_path: Path) -> None:
    """A component that is left out stays there; one that is nothing but its platform is removed."""
    components = announced(broker, tmp_path, ())["components"]
    lacking = {"face", "voice", "people", "frame_rate", "temperature"}
    assert {key for key, component in components.items() if component.keys() == {"platform"}} == lacking
    assert components["voice"] == {"platform": "binary_sensor"}


def test_what_a_box_says_of_itself_does_not_hold_for_ever(broker: Mosquitto, tmp_path: Path) -> None:
    """Nobody says that a box is offline when the broker has lost its power with it."""
    topics = (TOPICS.state, TOPICS.people, TOPICS.health)
    components = announced(broker, tmp_path, heartbeat_s=7.0, health_s=11.5)["components"].values()
    expire = {(part["state_topic"], part.get("expire_after")) for part in components if part["platform"] != "event"}
    assert expire == {*zip(topics, (28, 28, 46), strict=True), (TOPICS.privacy, None)}


def test_what_a_device_sees_is_unavailable_while_the_device_is(broker: Mosquitto, tmp_path: Path) -> None:
    components = announced(broker, tmp_path)["components"]
    for name, source in (("face", "camera"), ("people", "camera"), ("voice", "microphone")):
        assert components[name]["availability_mode"] == "all"
        own, told, device = components[name]["availability"]
        assert own == {"topic": TOPICS.availability}
        assert told["topic"] == components[name]["state_topic"]
        assert device["topic"] == TOPICS.health
        # Without it, as when a microphone is set to `off`, no error before the entity is removed.
        assert f"components.get('{source}', {{}}).get('state') == 'running'" in device["value_template"]

"""Every message as a subscriber receives it against the shipped schemas, and the AsyncAPI document against the code."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from affectd.config import Config, VoiceConfig
from affectd.events import FaceReading, Person
from affectd.publish import schema_bundle
from affectd.publish.health_document import CameraHealth, ComponentHealth, HealthDocument, Latency, ModelHealth
from affectd.publish.topics import Topics
from support.broker import Listener, Message, Mosquitto
from support.message_schemas import FOLDER, PUBLISHED, SCHEMAS, faults
from support.publishing import TOPICS, face, running, state, voice

ASYNCAPI = json.loads((FOLDER / "asyncapi.json").read_text())

HEALTH = HealthDocument(
    version="0.1.0",
    status="ok",
    problem=None,
    uptime_s=12.345,
    privacy=False,
    privacy_notice=None,
    frames_per_s=14.987,
    face_readings_per_s=14.9,
    voice_readings_per_s=2.0,
    camera_notice=None,
    microphone_level_db=-41.27,
    microphone_notice=None,
    latency={"face": Latency(11.234, 15.5), "event": Latency(50.1, 90.9)},
    frames_dropped=3,
    samples_lost=0,
    readings_waiting=0,
    outbox_waiting=0,
    outbox_unstored=0,
    outbox_dropped=0,
    outbox_damaged=0,
    outbox_error=None,
    events_sent=7,
    events_denied=0,
    commands_ignored=0,
    broker_protocol="MQTT 5",
    broker_reconnects=0,
    broker_error=None,
    temperature_c=51.26,
    throttled=False,
    thermal_notice="throttled by affectd: 5 fps at 77 °C; from 80 °C on the board slows itself down: give it more air",
    rss_mb=210.44,
    camera=CameraHealth("MJPG", 640, 480, 30.0),
    components={"camera": ComponentHealth("running", "2026-01-02T03:04:05.678Z", 1, "camera /dev/video0: gone")},
    models={
        "face": ModelHealth(
            "face-vgg16", "1.0.0", "int8", "litert", "cpu", ("happy", "sad"), 2, "teflon: takes nothing"
        )
    },
)
BARE_HEALTH = replace(
    HEALTH,
    status="degraded",
    problem="camera: /dev/video0: gone",
    privacy_notice="switch file /run/x: cannot be read",
    camera_notice="the pictures are grey",
    microphone_level_db=None,
    microphone_notice="microphone default: digital silence for 10 s",
    latency={},
    outbox_error="outbox /var/lib/affectd/outbox.db: the disk takes no events: database or disk is full",
    broker_protocol=None,
    broker_error="broker localhost:1883: refuses connections",
    temperature_c=None,
    throttled=None,
    thermal_notice=None,
    camera=None,
    components={},
    models={},
)


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> list[Message]:
    """Everything a publisher can say, as it came over the broker."""
    folder = tmp_path_factory.mktemp("all-messages")
    states = [
        state("happy"),
        state(None, previous=None, face=None, voice=None, agreement="none", reason="nobody", person=None),
        state("sad", voice=voice(active=False), agreement="single", strategy="face"),
    ]
    with Mosquitto(folder) as broker, Listener(broker, "#") as listener:
        with running(broker.port, folder, faces=True, voice=True) as box:
            listener.wait_for(lambda _: box.connected)
            publisher = box.publisher
            for each in states:
                publisher.publish_event(each)
                publisher.publish_state(each, each.captured_at + 1)
                listener.wait_for(lambda _: box.outbox.depth == 0)
            for faces in ((), (face(), face())):
                publisher.publish_faces(FaceReading(states[0].captured_at, faces))
            for active in (True, False):
                publisher.publish_voice(voice(active=active))
            publisher.publish_privacy(True)
            publisher.describe(Config(voice=VoiceConfig(activity="silero")), ["camera", "thermometer"])
            for people in ((), (Person(1, face(), "happy", 0.9, 0.0), Person(2, face(), None, 0.0, 0.0))):
                publisher.publish_people(people, states[0].captured_at)
                count = len(people)
                listener.wait_for(
                    lambda _, n=count: (
                        listener.on(TOPICS.people)[-1:] and listener.on(TOPICS.people)[-1].json["count"] == n
                    )
                )
            for health in (HEALTH, BARE_HEALTH):
                publisher.publish_health(health)
                listener.wait_for(
                    lambda _, h=health: (
                        listener.on(TOPICS.health)[-1:] and listener.on(TOPICS.health)[-1].json["status"] == h.status
                    )
                )
        return listener.wait_for(lambda _: listener.on(TOPICS.availability)[-1].payload == b"offline")


@pytest.mark.parametrize(
    ("kind", "least"),
    [("event", 3), ("state", 1), ("people", 2), ("faces", 2), ("voice", 2), ("health", 2), ("info", 1)],
)
def test_every_message_is_as_its_schema_says(received: list[Message], kind: str, least: int) -> None:
    documents = [message.json for message in received if message.topic == getattr(TOPICS, kind)]
    assert len(documents) >= least
    bundled = Draft202012Validator(schema_bundle.message_schema(kind))
    for document in documents:
        assert faults(kind, document) == []
        bundled.validate(document)


def test_nothing_is_published_on_topics_that_are_not_described(received: list[Message]) -> None:
    addresses = {addresses_of(TOPICS)[name] for name in ASYNCAPI["channels"]}
    assert {message.topic for message in received} <= addresses


KINDS = ["event", "state", "people", "faces", "voice", "health", "info"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_of_the_published_schema_takes_fields_that_come_later(received: list[Message], kind: str) -> None:
    document = next(message.json for message in received if message.topic == getattr(TOPICS, kind))
    registry: Registry[Any] = Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in PUBLISHED.values()
    )
    validator = Draft202012Validator(PUBLISHED[f"{kind}.schema.json"], registry=registry)

    def grown(value: Any) -> Any:
        if isinstance(value, dict):
            open_map = set(value) <= {"camera", "face", "voice"} or "state" in value
            return {**{k: grown(v) for k, v in value.items()}, **({} if open_map else {"new_field": 1})}
        return [grown(each) for each in value] if isinstance(value, list) else value

    validator.validate(grown(document))


@pytest.mark.parametrize("kind", KINDS)
def test_examples_are_valid_and_every_schema_has_a_name(kind: str) -> None:
    schema = PUBLISHED[f"{kind}.schema.json"]
    assert schema["title"]
    assert schema["$id"].endswith(f"/1/{kind}.schema.json")
    assert kind == "health" or schema["examples"]
    for example in schema.get("examples", []):
        assert faults(kind, example) == []


@pytest.mark.parametrize("kind", KINDS)
def test_schemas_are_strict(received: list[Message], kind: str) -> None:
    document = next(message.json for message in received if message.topic == getattr(TOPICS, kind))
    assert faults(kind, {**document, "more": 1})
    for name in document:
        assert faults(kind, {key: value for key, value in document.items() if key != name}), name


def test_wrong_values_are_refused(received: list[Message]) -> None:
    event = next(message.json for message in received if message.topic == TOPICS.event)

    def broken(**changes: Any) -> list[str]:
        return faults("event", {**copy.deepcopy(event), **changes})

    assert broken() == []
    assert broken(emotion="joy")
    assert broken(confidence=1.2)
    assert broken(emotion=None)  # its confidence is not 0
    assert broken(time="2026-01-02 03:04:05")
    assert broken(seq=0)
    assert broken(face={"present": True})
    assert broken(face={**event["face"], "box": [0, 0, 1]})
    assert broken(voice={"active": True})
    assert broken(reason="nobody")  # an emotion is named
    assert broken(person="1")
    assert broken(run="x")
    assert broken(probabilities={"happy": 1.0})


def test_every_field_is_described() -> None:
    for name, schema in SCHEMAS.items():
        Draft202012Validator.check_schema(schema)
        for field, content in schema.get("properties", {}).items():
            shared = SCHEMAS["common.schema.json"]["$defs"].get(content.get("$ref", "").rpartition("/")[2], {})
            assert content.get("description") or shared.get("description"), f"{name}: {field}"


def addresses_of(topics: Topics) -> dict[str, str]:
    """Return each topic by the name of its property."""
    no_topics = {"root", "retained", "commands"}  # what others begin with, a list, a wildcard
    names = [name for name, value in vars(Topics).items() if isinstance(value, property) and name not in no_topics]
    return {name: getattr(topics, name) for name in names}


def test_asyncapi_names_every_topic_of_the_code() -> None:
    assert ASYNCAPI["asyncapi"].startswith("3.0")
    expected = addresses_of(Topics("{base}", "{device_id}", "{discovery_prefix}"))
    assert {name: channel["address"] for name, channel in ASYNCAPI["channels"].items()} == expected
    will = ASYNCAPI["servers"]["broker"]["bindings"]["mqtt"]["lastWill"]
    assert will["topic"] == expected["availability"]


def test_asyncapi_references_exist() -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [reference for value in node.values() for reference in references(value)]
        return [reference for value in node for reference in references(value)] if isinstance(node, list) else []

    found = references(ASYNCAPI)
    assert len(found) > 20
    for reference in found:
        file, _, pointer = reference.partition("#")
        node = json.loads((FOLDER / file).read_text()) if file else ASYNCAPI
        for part in filter(None, pointer.split("/")):
            node = node[part]
    assert {r for r in found if r.endswith(".json")} == set(SCHEMAS) - {"common.schema.json"}


def test_asyncapi_tells_qos_and_retain_as_they_are(broker: Mosquitto, tmp_path: Path, received: list[Message]) -> None:
    promised = {}
    for operation in ASYNCAPI["operations"].values():
        name = operation["channel"]["$ref"].rpartition("/")[2]
        if operation["action"] == "send":
            promised[addresses_of(TOPICS)[name]] = operation["bindings"]["mqtt"]
    assert {message.topic for message in received} == set(promised)

    with running(broker.port, tmp_path, faces=True, voice=True) as box:
        with Listener(broker, "#") as early:
            early.wait_for(lambda _: box.connected)
            box.publisher.publish_event(state())
            box.publisher.publish_state(state(), 0.0)
            box.publisher.publish_faces(FaceReading(0.0))
            box.publisher.publish_voice(voice())
            box.publisher.publish_privacy(False)
            box.publisher.publish_people((), 0.0)
            box.publisher.describe(Config(voice=VoiceConfig(activity="level")), [])
            box.publisher.publish_health(HEALTH)
            early.wait_for(lambda messages: {m.topic for m in messages} == set(promised))
        with Listener(broker, "#") as late:
            retained = {topic for topic, binding in promised.items() if binding["retain"]}
            late.wait_for(lambda messages: {m.topic for m in messages} == retained)
    for topic, binding in promised.items():
        assert f"'{topic}'" in broker.log
        sent = [line for line in broker.log.splitlines() if "Received PUBLISH" in line and f"'{topic}'" in line]
        assert sent
        assert all(f"q{binding['qos']}, r{int(binding['retain'])}," in line for line in sent), sent

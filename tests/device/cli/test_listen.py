"""`affectd listen` against a real broker: a line for every change, foreign payloads, how it ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest

from affectd.cli.message_lines import MessageFormatter
from affectd.events import Box, EmotionState, TrackedFace, VoiceReading
from affectd.publish.connection_events import ReceivedMessage
from affectd.publish.documents import EmotionEvent, Origin, Stamp, state_json
from affectd.publish.schema_bundle import message_schema
from support.broker import Listener, Mosquitto, free_port
from support.processes import HEED_CTRL_C
from support.waiting import DEADLINE_S, until

STAMP = Stamp("2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.637Z", True, 41.2)
HAPPY = (0.02, 0.02, 0.02, 0.85, 0.03, 0.03, 0.03)


def event(seq: int = 1, device: str = "hall", emotion: str | None = "happy") -> bytes:
    state = EmotionState(
        captured_at=10.0,
        emotion=emotion,
        confidence=0.75 if emotion else 0.0,
        probabilities=HAPPY,
        previous=None,
        since=9.0,
        previous_held_s=2.0,
        agreement="agree" if emotion else "none",
        strategy="adaptive",
        reason="shown" if emotion else "nobody",
        face=TrackedFace(1, Box(0.1, 0.1, 0.2, 0.3), 0.9, HAPPY) if emotion else None,
        voice=VoiceReading(10.0, True, 12.0, 0.8, (*HAPPY, 0.0)) if emotion else None,
    )
    origin = Origin(device, "boot", "0badcafe")
    return json.dumps(EmotionEvent(f"x-{seq}", seq, origin, STAMP, state).to_json()).encode()


class Listening:
    """`affectd listen` as a process whose lines are read as they come."""

    def __init__(self, port, *arguments):
        command = [sys.executable, "-m", "affectd.cli.main", "listen", "--host", "localhost", "--port", str(port)]
        self.process = subprocess.Popen(
            [*HEED_CTRL_C, *command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self.reader.start()

    def end(self):
        code = self.process.wait(DEADLINE_S)
        self.reader.join(DEADLINE_S)
        return code, self.process.stderr.read()


@pytest.fixture
def sender(broker):
    with Listener(broker, "unused") as sender:
        # Retained, so that its line tells when the listener has subscribed.
        sender.publish("affectd/hall/availability", "online", retain=True)
        yield sender


def started(broker, *arguments):
    listening = Listening(broker.port, *arguments)
    until(lambda: listening.lines or listening.process.poll() is not None)
    return listening


def test_an_event_is_readable_at_a_glance(broker, sender):
    listening = started(broker, "--count", "2")
    sender.publish("affectd/hall/event", event(7))
    sender.publish("affectd/hall/event", event(8, emotion=None))
    code, errors = listening.end()
    assert (code, errors) == (0, "")
    online, happy, nobody = listening.lines
    assert "hall" in online
    assert "online" in online
    for part in ("hall", "happy", "██████░░", "75%", "agree", "face happy 85%", "voice happy 85% 12 dB", "41 ms", "#7"):
        assert part in happy
    assert "nobody" in nobody
    assert "\033" not in "".join(listening.lines)


def test_only_the_named_device_is_shown(broker, sender):
    listening = started(broker, "hall", "--count", "1")
    sender.publish("affectd/door/event", event(1, device="door"))
    sender.publish("affectd/hall/event", event(2))
    assert listening.end()[0] == 0
    assert "door" not in "".join(listening.lines)
    assert "#2" in listening.lines[-1]


def test_heartbeats_of_the_state_stay_silent(broker, sender):
    document = json.loads(event())
    heartbeat = json.dumps({key: document[key] for key in document if key not in ("id", "seq")})
    listening = started(broker, "--count", "1")
    for _ in range(3):
        sender.publish("affectd/hall/state", heartbeat)
    sender.publish("affectd/hall/event", event())
    assert listening.end()[0] == 0
    assert sum("(state)" in line for line in listening.lines) == 1


@pytest.mark.parametrize(
    "payload",
    [b"\xff\xfe", b"", b"[1, 2]", b"{}", b'{"emotion": "\x1b[2J"}', b"[" * 50_000, event().replace(b"0.75", b'"x"')],
)
def test_a_foreign_payload_is_one_short_line(broker, sender, payload):
    listening = started(broker, "--count", "1")
    sender.publish("affectd/hall/event", payload)
    code, errors = listening.end()
    assert (code, errors) == (0, "")
    assert "not affectd's" in listening.lines[-1]
    assert "\x1b" not in listening.lines[-1]


def test_json_says_when_each_message_came(broker, sender):
    before = datetime.now(timezone.utc)
    listening = started(broker, "--json", "--count", "1")
    sender.publish("affectd/hall/event", event(3))
    assert listening.end()[0] == 0
    times = [json.loads(line)["received"] for line in listening.lines]
    for each in times:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each)
    arrived = [datetime.fromisoformat(each.replace("Z", "+00:00")) for each in times]
    assert before - timedelta(milliseconds=1) <= arrived[0] <= arrived[-1] <= datetime.now(timezone.utc)


def test_only_the_topics_named_are_shown(broker, sender):
    for topic in ("privacy", "info", "health"):
        sender.publish(f"affectd/hall/{topic}", "off" if topic == "privacy" else "{}", retain=True)
    listening = Listening(broker.port, "--json", "--topic", "privacy", "--topic", "info", "--for", "4")
    assert listening.end() == (0, "")
    assert {json.loads(line)["topic"] for line in listening.lines} == {"affectd/hall/privacy", "affectd/hall/info"}


def test_json_gives_topic_and_payload_of_every_message(broker, sender):
    listening = started(broker, "--json", "--count", "2")
    sender.publish("affectd/hall/event", event(3))
    sender.publish("affectd/hall/event", "no JSON")
    assert listening.end()[0] == 0
    online, first, second = map(json.loads, listening.lines)
    told = {"topic": "affectd/hall/availability", "retained": True, "payload": "online"}
    assert {key: online[key] for key in told} == told
    assert (first["topic"], first["retained"], first["payload"]) == (
        "affectd/hall/event",
        False,
        json.loads(event(3)),
    )
    assert second["payload"] == "no JSON"


def test_it_ends_after_the_time_given(broker):
    assert Listening(broker.port, "--for", "0.5").end() == (0, "")


def test_it_ends_after_the_time_given_while_the_broker_is_away(broker, sender):
    listening = started(broker, "--for", "8")
    broker.kill()
    code, errors = listening.end()
    assert code == 0
    assert "broker lost" in errors


def test_it_ends_after_the_time_given_when_the_broker_never_answers():
    with socket.create_server(("localhost", 0)) as silent:
        began = time.monotonic()
        code, errors = Listening(silent.getsockname()[1], "--for", "2").end()
    assert code == 6
    assert "no answer within 2 s" in errors
    assert time.monotonic() - began >= 2


def test_ctrl_c_ends_it_quietly(broker, sender):
    listening = started(broker)
    listening.process.send_signal(signal.SIGINT)
    assert listening.end() == (130, "")


def test_it_comes_back_after_the_broker_did(broker, sender):
    listening = started(broker, "--count", "1")
    broker.restart()
    until(lambda: sum("online" in line for line in listening.lines) >= 2)
    sender.publish("affectd/hall/event", event(9))
    code, errors = listening.end()
    assert code == 0
    assert "broker lost" in errors
    assert "#9" in listening.lines[-1]


def test_a_broker_that_is_not_there_is_one_sentence():
    code, errors = Listening(free_port()).end()
    assert code == 6
    assert errors.startswith("affectd: broker localhost:")
    assert errors.count("\n") == 1


def test_a_wrong_password_is_one_sentence_without_it(tmp_path):
    password = tmp_path / "password"
    password.write_text("hunter2\n")
    with Mosquitto(tmp_path, user="box", password="right") as broker:
        code, errors = Listening(broker.port, "--username", "box", "--password-file", str(password)).end()
    assert code == 6
    assert "refuses user name 'box'" in errors
    assert "hunter2" not in errors


def arrived(topic, document):
    return ReceivedMessage(
        f"affectd/hall/{topic}", document if isinstance(document, bytes) else json.dumps(document).encode()
    )


def test_people_are_told_when_there_are_several_and_that_changes():
    example = message_schema("people")["examples"][0]
    one = example["people"][0]
    another = {**one, "person": "be445e6b-2", "emotion": None, "held_s": 1.0}
    formatter = MessageFormatter(colours=False)

    def line(*people):
        return formatter.line(arrived("people", {**example, "count": len(people), "people": list(people)}))

    assert line(one) is None  # the state says it
    assert line(one, another).endswith("people 2: happy, unsure")
    assert line({**one, "held_s": 30.0}, another) is None
    assert line(one).endswith("people 1: happy")
    assert line() is None


def test_the_other_topics_are_one_line_each():
    formatter = MessageFormatter(colours=False)
    for kind, words in (
        ("info", "affectd 0.1.0"),
        ("faces", "happy 98%"),
        ("voice", "happy 98%"),
        ("health", "health"),
    ):
        (example,) = message_schema(kind)["examples"]
        assert words in formatter.line(arrived(kind, example))
    assert formatter.line(arrived("privacy", b"on")).endswith("privacy on")
    assert "not affectd's" in formatter.line(arrived("privacy", b"maybe"))


def test_the_state_document_is_understood_too():
    state = EmotionState(1.0, None, 0.0, HAPPY, None, 0.0, 0.0, "none", "adaptive", "nobody")
    document = state_json(state, Origin("hall", "boot", "0badcafe"), STAMP, now=2.0)
    line = MessageFormatter(colours=True).line(ReceivedMessage("affectd/hall/state", json.dumps(document).encode()))
    assert line is not None
    assert "nobody" in line
    assert "\033[" in line


def test_all_that_is_kept_of_many_boxes_arrives(tmp_path):
    """mosquitto queues 1000 messages for a client, and drops what is beyond."""
    count = 600
    with Mosquitto(tmp_path, more="autosave_on_changes false\n") as broker, Listener(broker, "unused") as sender:
        for number in range(count):
            sender.publish_soon(f"affectd/box-{number}/availability", "online", retain=True)
            sender.publish_soon(f"affectd/box-{number}/state", event(number), retain=True)
        sender.publish("affectd/box-0/health", "{}", retain=True)
        listening = Listening(broker.port, "--json")
        until(lambda: len({json.loads(line)["topic"] for line in list(listening.lines)}) == 2 * count + 1)
        listening.process.send_signal(signal.SIGINT)
        assert listening.end() == (130, "")

"""`affectd listen` against a real broker: a line for every change, foreign payloads, how it ends."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from affectd.events import Box, EmotionEvent, EmotionState, Origin, Stamp, TrackedFace, VoiceReading, state_json
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


def test_json_gives_topic_and_payload_of_every_message(broker, sender):
    listening = started(broker, "--json", "--count", "2")
    sender.publish("affectd/hall/event", event(3))
    sender.publish("affectd/hall/event", "no JSON")
    assert listening.end()[0] == 0
    online, first, second = map(json.loads, listening.lines)
    assert online == {"topic": "affectd/hall/availability", "payload": "online"}
    assert first == {"topic": "affectd/hall/event", "payload": json.loads(event(3))}
    assert second["payload"] == "no JSON"


def test_it_ends_after_the_time_given(broker):
    assert Listening(broker.port, "--for", "0.5").end() == (0, "")


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


def test_the_state_document_is_understood_too():
    from affectd.cli.show import Shower
    from affectd.publish.happenings import Arrived

    state = EmotionState(1.0, None, 0.0, HAPPY, None, 0.0, 0.0, "none", "adaptive", "nobody")
    document = state_json(state, Origin("hall", "boot", "0badcafe"), STAMP, now=2.0)
    line = Shower(colours=True).line(Arrived("affectd/hall/state", json.dumps(document).encode()))
    assert line is not None
    assert "nobody" in line
    assert "\033[" in line

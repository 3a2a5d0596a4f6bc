"""A publisher and what it publishes, in this process or in one that can be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affectd.config import MqttConfig, OutboxConfig
from affectd.events import LABELS, VOICE_LABELS, Box, EmotionState, TrackedFace, VoiceReading
from affectd.publish import session
from affectd.publish.clock import stamp
from affectd.publish.documents import EmotionEvent, Origin
from affectd.publish.publisher import Publisher
from affectd.publish.topics import Topics
from affectd.store.event_file import EventFile, Stored
from affectd.store.outbox import Outbox
from support.broker import Listener, Message
from support.waiting import until

if TYPE_CHECKING:
    import pytest

OUTBOX = "outbox.db"
TOPICS = Topics("affectd", "box")
ORIGIN = Origin("box", "boot-1", "0badcafe", {"face": "face-vgg16 1.0.0 int8", "voice": "voice-cnn-lstm 1.0.0 dynamic"})


def face() -> TrackedFace:
    return TrackedFace(3, Box(0.1, 0.2, 0.3, 0.4), 0.8, (0.01, 0.01, 0.02, 0.9, 0.02, 0.02, 0.02))


def voice(*, active: bool = True) -> VoiceReading:
    probabilities = (0.02, 0.02, 0.02, 0.8, 0.02, 0.02, 0.05, 0.05) if active else None
    assert probabilities is None or len(probabilities) == len(VOICE_LABELS)
    return VoiceReading(time.monotonic(), active, 12.34 if active else None, 0.7 if active else 0.0, probabilities)


def state(emotion: str | None = "happy", **changes: Any) -> EmotionState:
    """A state with this emotion; `changes` replace its other fields."""
    now = time.monotonic()
    if emotion is None:
        probabilities = tuple(1 / len(LABELS) for _ in LABELS)
    else:
        probabilities = tuple(0.88 if label == emotion else 0.02 for label in LABELS)
    fields: dict[str, Any] = {
        "captured_at": now - 0.05,
        "emotion": emotion,
        "confidence": 0.0 if emotion is None else 0.88,
        "probabilities": probabilities,
        "previous": "neutral",
        "since": now - 0.05,
        "previous_held_s": 4.2,
        "agreement": "agree",
        "strategy": "adaptive",
        "reason": "unsure" if emotion is None else "shown",
        "face": face(),
        "voice": voice(),
        "person": 1,
    }
    return EmotionState(**{**fields, **changes})


def store_events(path: Path, count: int) -> None:
    """Put so many events into an outbox that nobody has open, all at once: a sync of the disk for each takes long."""
    with closing(EventFile(path, max_events=count + 1000, max_bytes=10**9)) as file:
        seqs = range(file.last_seq + 1, file.last_seq + count + 1)
        file.write([Stored(seq, _encoded(seq)) for seq in seqs], last_seq=seqs[-1])


def _encoded(seq: int) -> bytes:
    event = EmotionEvent(f"00000000-{seq}", seq, ORIGIN, stamp(time.monotonic()), state(LABELS[seq % len(LABELS)]))
    return json.dumps(event.to_json()).encode()


@dataclass
class Running:
    """A publisher at work."""

    publisher: Publisher
    outbox: Outbox
    commands: list[str] = field(default_factory=list)
    """Privacy commands that it took."""

    def publish_events(self, count: int) -> None:
        """Publish so many, one emotion after the other."""
        for number in range(count):
            self.publisher.publish_event(state(LABELS[number % len(LABELS)]))

    @property
    def connected(self) -> bool:
        return self.publisher.status.connected

    @property
    def last_error(self) -> str:
        """The sentence in its status, empty when there is none."""
        return self.publisher.status.last_error or ""


def reconnect_within(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have a lost broker tried again within so long, and a connection count as good after it."""
    monkeypatch.setattr(session, "RECONNECT", replace(session.RECONNECT, longest_s=seconds))
    monkeypatch.setattr(session, "STEADY_S", seconds)


@contextmanager
def running(
    port: int,
    folder: Path,
    *,
    flush_s: float = 0.5,
    replay_per_s: float = OutboxConfig().replay_per_s,
    **mqtt: Any,
) -> Iterator[Running]:
    """Start a publisher with its outbox in `folder`, and stop it cleanly; `mqtt` are settings of MqttConfig."""
    commands: list[str] = []
    outbox = Outbox(folder / OUTBOX, max_events=50_000, max_bytes=10**8)
    publisher = Publisher(
        MqttConfig(port=port, **mqtt),
        origin=ORIGIN,
        device_name="Box",
        version="1.2.3",
        outbox=outbox,
        replay_per_s=replay_per_s,
        on_privacy=commands.append,
    )
    publisher.start()
    try:
        yield Running(publisher, outbox, commands)
    finally:
        publisher.stop(flush_s)
        outbox.close()


def start_process(port: int, folder: Path, count: int) -> subprocess.Popen[str]:
    """Start a process that publishes so many events and writes the seq of each to its stdout."""
    return subprocess.Popen(
        [sys.executable, __file__, str(port), str(folder), str(count)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def main() -> None:
    """Publish: `publishing.py PORT FOLDER COUNT`."""
    port, folder, count = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    with running(port, folder, flush_s=20) as box:
        for _ in range(count):
            event = box.publisher.publish_event(state())
            print(event.seq, flush=True)
            time.sleep(0.01)
        until(lambda: box.outbox.depth == 0, 80)


if __name__ == "__main__":
    main()


def seqs(messages: list[Message]) -> list[int]:
    return [message.json["seq"] for message in messages if message.topic == TOPICS.event]


def assert_all_arrived(listener: Listener, last: int) -> None:
    """Every seq up to `last`, first copies in order, and copies only of the same event."""
    listener.wait_for(lambda messages: last in seqs(messages), 40)
    events = [message.json for message in listener.on(TOPICS.event)]
    first_copies = {event["id"]: event for event in reversed(events)}
    assert list(dict.fromkeys(event["seq"] for event in events)) == list(range(1, last + 1))
    assert len(first_copies) == last
    assert all(event == first_copies[event["id"]] for event in events)

"""Many boxes at one broker: the product's own publisher and outbox, a pair for each box, and a subscriber that counts.

The boxes live in processes of their own: `fleet.py PORT FOLDER FIRST COUNT STORED EVERY_S`.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from affectd.config import MqttConfig, OutboxConfig
from affectd.events import LABELS
from affectd.publish.clock import stamp
from affectd.publish.documents import EmotionEvent, Origin
from affectd.publish.publisher import Publisher
from affectd.store.event_file import EventFile, Stored
from affectd.store.outbox import Outbox
from support.example_broker import ExampleBroker, password_of
from support.publishing import ORIGIN, OUTBOX, state

BOXES_OF_ONE_PROCESS = 50
"""A box has nine files open, more while it connects, and paho asks select(2), which knows no number above 1023."""

Seq = tuple[str, int]
"""A device and the number of one of its events."""


def names(count: int, first: int = 0) -> list[str]:
    """Return the ids of so many boxes."""
    return [f"box-{number:04d}" for number in range(first, first + count)]


@dataclass
class Published:
    """What the boxes have done."""

    acknowledged: dict[Seq, float] = field(default_factory=dict)
    """Every event, and when the broker said that it had it, monotonic seconds."""
    dropped: int = 0
    """Events that the boxes gave up, and counted."""
    waiting: int = 0
    """Events that are still in the outboxes."""


class Fleet:
    """Boxes that know the broker, each with `stored` events from a time without it."""

    def __init__(self, broker: ExampleBroker, folder: Path, *, boxes: int, stored: int, every_s: float = 1.0) -> None:
        """Start the processes and wait until the events are stored; nothing connects yet."""
        self._processes = [
            subprocess.Popen(
                [sys.executable, __file__, str(broker.port), str(folder), str(first),
                 str(min(BOXES_OF_ONE_PROCESS, boxes - first)), str(stored), str(every_s)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            for first in range(0, boxes, BOXES_OF_ONE_PROCESS)
        ]  # fmt: skip
        self._answers()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def connect(self) -> None:
        """Let all boxes begin to connect."""
        self._ask("connect")

    def live(self) -> None:
        """Let every box publish an event each `every_s` seconds from now on."""
        self._ask("live")

    def quiet(self) -> None:
        """Let nothing new happen before the boxes."""
        self._ask("quiet")

    def drain(self, deadline_s: float) -> float:
        """Wait until the broker has acknowledged all events; give how long that took."""
        began = time.monotonic()
        while waiting := sum(self._ask("waiting")):
            taken_s = time.monotonic() - began
            assert taken_s < deadline_s, f"{waiting} events are not acknowledged after {taken_s:.0f} s"
            time.sleep(0.1)
        return time.monotonic() - began

    def end(self) -> Published:
        """Let all boxes leave; give what they have done."""
        total = Published()
        for answer in self._ask("end"):
            total.acknowledged |= {(device, seq): at for device, seq, at in answer["acknowledged"]}
            total.dropped += answer["dropped"]
            total.waiting += answer["waiting"]
        return total

    def _ask(self, what: str) -> list[Any]:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(what + "\n")
            process.stdin.flush()
        return self._answers()

    def _answers(self) -> list[Any]:
        found = []
        for process in self._processes:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, "a process of the fleet has ended"
            found.append(json.loads(line))
        return found


class Subscriber:
    """README's subscriber, with a session that stays; it counts what comes, each time that it comes."""

    def __init__(self, broker: ExampleBroker, user: str = "viewer") -> None:
        self._broker = broker
        self.times: Counter[Seq] = Counter()
        """How often each event came."""
        self.latencies_ms: list[float] = []
        """From the capture to the arrival, of all that came."""
        self.last_at = 0.0
        """When something came last, monotonic seconds."""
        self._subscribed = threading.Event()
        self._client = client = paho.Client(CallbackAPIVersion.VERSION2, client_id="robot-1", clean_session=False)
        client.username_pw_set(user, password_of(user))
        client.reconnect_delay_set(1, 2)
        client.on_connect = lambda client, *_: client.subscribe("affectd/+/event", qos=1)
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = self._take

    def come(self) -> None:
        """Connect, and wait until the broker keeps what it sends."""
        self._subscribed.clear()
        self._client.connect(self._broker.host, self._broker.port)
        self._client.loop_start()
        assert self._subscribed.wait(60), "the subscriber was not let in"

    def leave(self) -> None:
        """Be away from now on."""
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def connected(self) -> bool:
        """Whether the broker is there, and the subscriber too."""
        return self._client.is_connected()

    def wait_until_still(self, seconds: float = 3.0) -> float:
        """Wait until nothing has come for so long; give how long it went on coming."""
        began = self.last_at = time.monotonic()
        while time.monotonic() - self.last_at < seconds:
            time.sleep(0.05)
        return self.last_at - began

    def _take(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        event = json.loads(message.payload)
        self.last_at = time.monotonic()
        self.times[event["device"], event["seq"]] += 1
        taken = datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()
        self.latencies_ms.append(event["latency_ms"] + 1000 * (time.time() - taken))


class _Box:
    """One box: an outbox that notes when an event was acknowledged, and a publisher."""

    def __init__(self, port: int, folder: Path, device: str, stored: int) -> None:
        self.device, self.number = device, 0
        folder = folder / device
        folder.mkdir()
        password = folder / "password"
        password.write_text(password_of(device))
        origin = replace(ORIGIN, device=device)
        _store(folder / OUTBOX, origin, stored)
        self.outbox = _NotingOutbox(folder / OUTBOX, max_events=50_000, max_bytes=64_000_000)
        self.publisher = Publisher(
            MqttConfig(port=port, username=device, password_file=str(password)),
            origin=origin,
            device_name=device,
            version="1.2.3",
            outbox=self.outbox,
            replay_per_s=OutboxConfig().replay_per_s,
            on_privacy=lambda _command: None,
        )

    def happen(self) -> None:
        """Let something happen before it."""
        self.number += 1
        changed = state(LABELS[self.number % len(LABELS)], captured_at=time.monotonic())
        self.publisher.publish_event(changed)
        self.publisher.publish_state(changed, time.monotonic())


class _NotingOutbox(Outbox):
    noted: dict[int, float]

    def __init__(self, path: Path, **bounds: int) -> None:
        self.noted = {}
        super().__init__(path, **bounds)

    def acknowledge(self, seq: int) -> None:
        self.noted.setdefault(seq, time.monotonic())
        super().acknowledge(seq)


def _store(path: Path, origin: Origin, count: int) -> None:
    """Put events into an outbox that nobody has open, all at once."""
    with closing(EventFile(path, max_events=count + 1, max_bytes=10**9)) as file:
        events = [
            EmotionEvent(f"00000000-{seq}", seq, origin, stamp(time.monotonic()), state(LABELS[seq % len(LABELS)]))
            for seq in range(1, count + 1)
        ]
        file.write([Stored(event.seq, json.dumps(event.to_json()).encode()) for event in events], last_seq=count)


def main() -> None:
    """Obey a line at a time: `connect`, `live`, `quiet`, `waiting`, `end`; answer each with a line of JSON."""
    port, folder, first, count, stored = int(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:6])
    every_s = float(sys.argv[6])
    logging.disable()  # each would tell of each outage
    boxes = [_Box(port, folder, device, stored) for device in names(count, first)]
    live = threading.Event()
    threading.Thread(target=_let_happen, args=(boxes, live, every_s), daemon=True).start()
    print("true", flush=True)
    for line in sys.stdin:
        answer: Any = True
        match line.strip():
            case "connect":
                for box in boxes:
                    box.publisher.start()
            case "live":
                live.set()
            case "quiet":
                live.clear()
            case "waiting":
                answer = sum(box.outbox.depth for box in boxes)
            case "end":
                answer = _end(boxes)
        print(json.dumps(answer), flush=True)


def _let_happen(boxes: list[_Box], live: threading.Event, every_s: float) -> None:
    """One event after the other, so that each box has one every `every_s`, whenever `live` is set."""
    due = time.monotonic()
    while True:
        for box in boxes:
            live.wait()
            due = max(due + every_s / len(boxes), time.monotonic() - 1.0)
            time.sleep(max(0.0, due - time.monotonic()))
            box.happen()


def _end(boxes: list[_Box]) -> dict[str, Any]:
    waiting = sum(box.outbox.depth for box in boxes)
    for box in boxes:
        box.publisher._session._stopping.set()  # all at once: each takes its time to say goodbye
    for box in boxes:
        box.publisher.stop(0)
        box.outbox.close()
    return {
        "acknowledged": [(box.device, seq, at) for box in boxes for seq, at in box.outbox.noted.items()],
        "dropped": sum(box.outbox.dropped for box in boxes),
        "waiting": waiting,
    }


if __name__ == "__main__":
    main()

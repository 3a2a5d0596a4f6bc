"""A daemon that makes many events, and whether every one that it ever stored has arrived."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from e2e.program import DEVICE, RESTLESS, Affectd, blinking_person
from support.broker import Listener, Message, Mosquitto
from support.waiting import until

ROOT = f"affectd/{DEVICE}"
EVENT = f"{ROOT}/event"
AVAILABILITY = f"{ROOT}/availability"
HEALTH = f"{ROOT}/health"


def restless(folder: Path, broker: Mosquitto, *, every_s: float = 1.0, **settings: Mapping[str, Any]) -> Affectd:
    """A daemon before whose camera somebody comes and goes again every so many seconds, two events each time."""
    folder.mkdir(parents=True, exist_ok=True)
    clip = blinking_person(folder / "blinking.mp4", every_s / 2)
    return Affectd(folder, broker, camera={"source": str(clip)}, clip={"loop": True}, **RESTLESS, **settings)


def count(messages: list[Message]) -> int:
    """Count the events."""
    return sum(message.topic == EVENT for message in messages)


def waiting(outbox: Path) -> int:
    """Count the events in the outbox."""
    return ask(outbox, "SELECT COUNT(*) FROM event")


def last_seq(outbox: Path) -> int:
    """Return the number of the last event that was ever stored."""
    return ask(outbox, "SELECT seq FROM sqlite_sequence WHERE name = 'event'")


def ask(outbox: Path, query: str) -> int:
    """Look at the file from outside; 0 while there is nothing in it."""
    if not outbox.exists():
        return 0
    with closing(sqlite3.connect(f"file:{outbox}?mode=ro", uri=True)) as database:
        try:
            row = database.execute(query).fetchone()
        except sqlite3.OperationalError:  # its tables are not made yet
            return 0
    return int(row[0]) if row else 0


def stop(daemon: Affectd, listener: Listener) -> None:
    """End the daemon in order and wait until the listener has all that was ever stored."""
    daemon.send(signal.SIGTERM)
    assert daemon.wait() == 0
    assert waiting(daemon.outbox) == 0, daemon.log
    seq = last_seq(daemon.outbox)
    listener.wait_for(lambda messages: any(m.topic == EVENT and m.json["seq"] == seq for m in messages))


def newer_than_all_in(outbox: Path, listener: Listener) -> float:
    """Wait until an event arrives that is newer than those in the outbox now; give how many seconds that took."""
    began = time.monotonic()
    stored = last_seq(outbox)
    listener.wait_for(lambda messages: any(m.topic == EVENT and m.json["seq"] > stored for m in messages))
    return time.monotonic() - began


def assert_complete(events: list[Message], outbox: Path) -> int:
    """All events ever stored arrived, in order; what came again under the same id is the same to the byte.

    Gives how many came again.
    """
    payloads: dict[str, bytes] = {}
    for event in events:
        assert payloads.setdefault(event.json["id"], event.payload) == event.payload
    first_arrivals = [json.loads(payload)["seq"] for payload in payloads.values()]
    assert first_arrivals == list(range(1, last_seq(outbox) + 1))
    return len(events) - len(payloads)


def make_the_listener_known(broker: Mosquitto, *topics: str) -> None:
    """Let a durable listener be owed events from now on, whether it is there or not."""
    with Listener(broker, *topics, durable=True):
        until(lambda: "SUBACK to durable-listener" in broker.log)

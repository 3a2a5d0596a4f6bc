"""Every event arrives, in order and without a gap, whatever dies in the middle: the broker or the daemon."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from e2e.program import DEVICE, RESTLESS, Affectd, blinking_person
from support.broker import Listener, Message, Mosquitto
from support.waiting import until

EVENT = f"affectd/{DEVICE}/event"
AVAILABILITY = f"affectd/{DEVICE}/availability"


class FreezableMosquitto(Mosquitto):
    """A broker that can hang: its sockets take what is sent, and nobody answers."""

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def restless(folder: Path, broker: Mosquitto) -> Affectd:
    clip = blinking_person(folder / "blinking.mp4")
    return Affectd(folder, broker, camera={"source": str(clip)}, clip={"loop": True}, **RESTLESS)


def count(messages: list[Message]) -> int:
    return sum(message.topic == EVENT for message in messages)


def waiting(outbox: Path) -> int:
    """Count the events in the outbox."""
    return ask(outbox, "SELECT COUNT(*) FROM event")


def last_seq(outbox: Path) -> int:
    """Give the number of the last event that was ever stored."""
    return ask(outbox, "SELECT seq FROM sqlite_sequence WHERE name = 'event'")


def ask(outbox: Path, query: str) -> int:
    """Look at the file from outside."""
    with closing(sqlite3.connect(f"file:{outbox}?mode=ro", uri=True)) as database:
        (number,) = database.execute(query).fetchone()
    return int(number)


def stop(daemon: Affectd, listener: Listener) -> None:
    """End the daemon in order and wait until the listener has all that was ever stored."""
    daemon.send(signal.SIGTERM)
    assert daemon.wait() == 0
    assert waiting(daemon.outbox) == 0
    seq = last_seq(daemon.outbox)
    listener.wait_for(lambda messages: any(m.topic == EVENT and m.json["seq"] == seq for m in messages))


def assert_complete(events: list[Message], outbox: Path) -> None:
    """All events ever stored arrived, in order; what came again under the same id is the same to the byte."""
    payloads: dict[str, bytes] = {}
    for event in events:
        assert payloads.setdefault(event.json["id"], event.payload) == event.payload
    first_arrivals = [json.loads(payload)["seq"] for payload in payloads.values()]
    assert first_arrivals == list(range(1, last_seq(outbox) + 1))


def test_a_broker_killed_for_ten_seconds_costs_no_event(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker, "affectd/#", durable=True) as listener, restless(tmp_path, broker) as daemon:
        before = count(listener.wait_for(lambda messages: count(messages) >= 3))
        broker.kill()
        time.sleep(10)
        stored = waiting(daemon.outbox)
        assert stored >= 3, daemon.log
        broker.start()
        listener.wait_for(lambda messages: count(messages) >= before + stored + 3, 45)
        stop(daemon, listener)
        assert listener.on(AVAILABILITY)[-1].payload == b"offline"
    assert_complete(listener.on(EVENT), daemon.outbox)
    assert "events wait in the outbox" in daemon.log
    assert "Traceback" not in daemon.log


def test_kill_9_of_the_daemon_costs_no_event(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker, "affectd/#", durable=True) as listener, restless(tmp_path, broker) as daemon:
        listener.wait_for(lambda messages: count(messages) >= 2)
        daemon.kill()
        listener.wait_for(lambda messages: messages[-1] == (AVAILABILITY, b"offline", False))
        before = count(listener.messages)
        daemon.start()
        listener.wait_for(lambda messages: count(messages) >= before + 2)
        stop(daemon, listener)
    assert_complete(listener.on(EVENT), daemon.outbox)


def test_what_a_killed_daemon_had_stored_is_sent_by_the_next(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker, "affectd/#", durable=True) as listener, restless(tmp_path, broker) as daemon:
        listener.wait_for(lambda messages: count(messages) >= 1)
        broker.kill()
        until(lambda: waiting(daemon.outbox) >= 2, 20)
        daemon.kill()
        broker.start()
        daemon.start()
        listener.wait_for(lambda messages: count(messages) >= 4)
        stop(daemon, listener)
    assert_complete(listener.on(EVENT), daemon.outbox)


def test_what_a_broker_was_sent_but_never_took_is_sent_again(tmp_path: Path) -> None:
    broker = FreezableMosquitto(tmp_path)
    with broker, Listener(broker, "affectd/#", durable=True) as listener, restless(tmp_path, broker) as daemon:
        listener.wait_for(lambda messages: count(messages) >= 1)
        broker.freeze()
        until(lambda: waiting(daemon.outbox) >= 2, 20)
        time.sleep(0.5)  # the events are in its socket
        broker.restart()
        listener.wait_for(lambda messages: count(messages) >= 5, 45)
        stop(daemon, listener)
    assert_complete(listener.on(EVENT), daemon.outbox)


def test_an_event_that_was_sent_twice_has_one_id(tmp_path: Path) -> None:
    broker = FreezableMosquitto(tmp_path)
    with (
        broker,
        Listener(broker, "affectd/#", durable=True) as listener,
        restless(tmp_path, broker) as daemon,
    ):
        before = count(listener.wait_for(lambda messages: count(messages) >= 1))
        broker.freeze()
        stored = last_seq(daemon.outbox)
        until(lambda: last_seq(daemon.outbox) > stored, 20)
        time.sleep(0.5)  # the event is on the wire
        daemon.send(signal.SIGSTOP)
        broker.thaw()
        listener.wait_for(lambda messages: count(messages) > before)
        daemon.kill()  # before it has read the acknowledgement
        daemon.start()
        after = count(listener.messages)
        listener.wait_for(lambda messages: count(messages) >= after + 3)
        stop(daemon, listener)
    ids = [event.json["id"] for event in listener.on(EVENT)]
    assert len(ids) > len(set(ids))
    assert_complete(listener.on(EVENT), daemon.outbox)


def test_an_outbox_that_cannot_be_written_for_a_while_loses_no_event(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker, "affectd/#") as listener, restless(tmp_path, broker) as daemon:
        listener.wait_for(lambda messages: count(messages) >= 1)
        with closing(sqlite3.connect(daemon.outbox, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            until(lambda: "kept in memory" in daemon.log)
        stored = last_seq(daemon.outbox)
        listener.wait_for(lambda messages: any(m.topic == EVENT and m.json["seq"] > stored + 1 for m in messages))
        stop(daemon, listener)
        events = listener.on(EVENT)
    assert_complete(events, tmp_path / "outbox.db")
    emotions = [(event.json["previous"], event.json["emotion"]) for event in events]
    assert all(before[1] == after[0] for before, after in pairwise(emotions))

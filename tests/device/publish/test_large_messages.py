"""Brokers that take no large messages: the ones that are too large are withheld and named, the rest flows."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from affectd.backoff import Backoff
from affectd.events import Box, FaceReading, TrackedFace
from affectd.publish import size_limit
from support import publishing
from support.broker import Listener, Mosquitto
from support.odd_broker import OddBroker
from support.publishing import TOPICS, Running, running, seqs
from support.waiting import until

RIVAL = "same client id"
BLAMED = "bytes) was sent"
WITHHELD = "the broker does not take"


def times_connected(broker: Mosquitto) -> int:
    return broker.log.count(" as affectd-box (")


def publish_all(box: Running, *, faces: int = 1) -> None:
    """Something on every topic; the more faces the larger."""
    box.publisher.publish_state(publishing.state("sad"), time.monotonic())
    box.publisher.publish_privacy(False)
    box.publisher.publish_voice(publishing.voice())
    tracked = TrackedFace(3, Box(0.1, 0.2, 0.3, 0.4), 0.8, (0.01, 0.01, 0.02, 0.9, 0.02, 0.02, 0.02))
    box.publisher.publish_faces(FaceReading(time.monotonic(), (tracked,) * faces))


def larger_than(limit: int) -> Callable[[str, bytes], bool]:
    return lambda _topic, payload: len(payload) > limit


def on(odd: OddBroker, topic: str) -> list[bytes]:
    return [payload for published, payload in list(odd.published) if published == topic]


# A broker that says so, in a way of its own.


def test_a_limit_of_mosquitto_costs_discovery_and_not_one_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        Mosquitto(tmp_path, more="message_size_limit 1500\n") as broker,
        Listener(broker, f"{TOPICS.root}/#") as listener,
        running(broker.port, tmp_path, faces=True, voice=True) as box,
    ):
        until(lambda: box.connected)
        publish_all(box)
        box.publish_events(3)
        listener.wait_for(lambda messages: len(seqs(messages)) == 3)
        for topic in (TOPICS.availability, TOPICS.state, TOPICS.privacy, TOPICS.voice, TOPICS.faces):
            listener.wait_for(lambda _, topic=topic: listener.on(topic))
        until(lambda: TOPICS.discovery in box.last_error)
        assert f"{WITHHELD} {TOPICS.discovery} (Packet too large; " in box.last_error
        assert "raise its limit (mosquitto: message_size_limit" in box.last_error
        assert "Home Assistant does not see this box" in box.last_error
        assert times_connected(broker) == 1
        assert [message.payload for message in listener.on(TOPICS.availability)] == [b"online"]
        assert RIVAL not in caplog.text
        assert caplog.text.count(WITHHELD) == 1


def test_a_limit_of_mosquitto_below_every_event_costs_no_connection_and_no_event(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        Mosquitto(tmp_path, more="message_size_limit 600\n") as broker,
        Listener(broker, f"{TOPICS.root}/#") as listener,
        running(broker.port, tmp_path) as box,
    ):
        box.publish_events(10)
        publish_all(box)
        until(lambda: TOPICS.event in box.last_error and TOPICS.state in box.last_error, 20)
        assert box.outbox.depth == 10
        assert box.outbox.dropped == 0
        assert times_connected(broker) == 1
        listener.wait_for(lambda _: listener.on(TOPICS.availability))
        assert RIVAL not in caplog.text


# Brokers that just hang up.


@pytest.mark.parametrize("mqtt311", [False, True], ids=["MQTT 5", "MQTT 3.1.1"])
def test_a_broker_that_hangs_up_at_discovery_is_found_out(
    tmp_path: Path, mqtt311: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        OddBroker(hangs_up_at=larger_than(1500), refuses=lambda _: False, mqtt311=mqtt311) as odd,
        running(odd.port, tmp_path, faces=True, voice=True) as box,
    ):
        box.publish_events(5)
        publish_all(box)
        until(lambda: TOPICS.discovery in box.last_error and box.connected, 30)
        assert "it hangs up at messages of " in box.last_error
        assert "raise its limit (mosquitto: message_size_limit" in box.last_error
        assert "Home Assistant does not see this box" in box.last_error
        until(lambda: box.outbox.depth == 0, 30)
        for topic in (TOPICS.state, TOPICS.privacy, TOPICS.voice, TOPICS.faces):
            # A reading is dropped where it would have to wait for the documents before it.
            until(lambda topic=topic: publish_all(box) or on(odd, topic))
        assert box.publisher.status.reconnects <= 1 + size_limit.TRIES
        assert box.outbox.dropped == 0
        before = odd.connections
        box.publish_events(5)
        until(lambda: len(on(odd, TOPICS.event)) >= 10)
        assert odd.connections == before
    assert f"when {TOPICS.discovery} (" in caplog.text
    assert RIVAL not in caplog.text


def test_documents_events_and_readings_above_a_limit_are_withheld_together(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        OddBroker(hangs_up_at=larger_than(600), refuses=lambda _: False) as odd,
        running(odd.port, tmp_path, faces=True, voice=True) as box,
    ):

        def heard() -> bool:
            publish_all(box, faces=6)  # readings do not wait for a connection that has just broken off
            time.sleep(0.05)
            return len(on(odd, TOPICS.voice)) >= 3

        publish_all(box)
        box.publish_events(5)
        until(lambda: TOPICS.state in box.last_error and "events are as large" in box.last_error, 60)
        until(lambda: box.connected, 20)
        assert TOPICS.discovery in box.last_error
        connections = odd.connections
        assert connections <= 3 + 2 * size_limit.TRIES
        for _ in range(20):
            publish_all(box, faces=6)
            time.sleep(0.05)
        box.publish_events(1)
        until(heard)
        until(lambda: TOPICS.faces in box.last_error, 30)
        assert odd.connections - connections <= 2
        assert box.outbox.depth == 6
        assert box.outbox.dropped == 0
    assert RIVAL not in caplog.text


def test_a_reading_that_the_broker_hangs_up_at_is_found_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    publishing.reconnect_within(monkeypatch, 0.5)
    with (
        OddBroker(hangs_up_at=lambda topic, _: topic == TOPICS.faces, refuses=lambda _: False) as odd,
        running(odd.port, tmp_path, faces=True, voice=True) as box,
    ):

        def seen() -> bool:
            publish_all(box)
            time.sleep(0.05)
            return TOPICS.faces in box.last_error and box.connected

        until(seen, 40)
        assert odd.connections <= 3 + size_limit.TRIES
        before = odd.connections
        box.publish_events(3)
        until(lambda: box.outbox.depth == 0 or not seen())
        until(lambda: len(on(odd, TOPICS.voice)) >= 2)
        assert odd.connections == before
    assert RIVAL not in caplog.text


def test_a_document_is_withheld_for_its_topic_where_larger_ones_are_taken(tmp_path: Path) -> None:
    """As brokers do whose policy does not let the box write there."""
    with (
        OddBroker(hangs_up_at=lambda topic, _: topic == TOPICS.state, refuses=lambda _: False) as odd,
        running(odd.port, tmp_path) as box,
    ):
        publish_all(box)
        until(lambda: TOPICS.state in box.last_error and box.connected, 40)
        assert "it hung up 3 times when it was sent one" in box.last_error
        assert "see its ACL and its limits" in box.last_error
        box.publish_events(3)
        until(lambda: box.outbox.depth == 0)
        assert on(odd, TOPICS.discovery)
        assert odd.connections <= 2 + size_limit.TRIES


# Offered again.


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is withheld is offered after a second instead of a minute, and a lost broker is tried as soon."""
    monkeypatch.setattr(size_limit, "RETRY", Backoff(1.0, 3600.0))
    publishing.reconnect_within(monkeypatch, 0.5)


@contextmanager
def knowing_a_limit(folder: Path) -> Iterator[tuple[OddBroker, Running]]:
    """Run a box that has found out that this broker hangs up at more than 600 bytes, and withholds five events."""
    with (
        OddBroker(hangs_up_at=larger_than(600), refuses=lambda _: False) as odd,
        running(odd.port, folder) as box,
    ):
        publish_all(box)
        box.publish_events(5)
        until(lambda: "events are as large" in box.last_error and TOPICS.state in box.last_error, 60)
        yield odd, box


def test_what_is_withheld_is_offered_now_and_then_and_taken_when_the_limit_was_raised(
    impatient: None, tmp_path: Path
) -> None:
    with knowing_a_limit(tmp_path) as (odd, box):
        odd.hangs_up_at = larger_than(1500)
        until(lambda: box.outbox.depth == 0 and on(odd, TOPICS.state), 60)
        assert TOPICS.discovery in box.last_error or not box.connected
        odd.hangs_up_at = larger_than(10_000)
        until(lambda: on(odd, TOPICS.discovery), 60)
        until(lambda: box.last_error == "" and box.connected, 20)
        assert [json.loads(event)["seq"] for event in on(odd, TOPICS.event)] == [1, 2, 3, 4, 5]
        assert box.outbox.dropped == 0


def test_a_limit_that_holds_costs_one_connection_each_time_and_ever_more_rarely(
    impatient: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(size_limit, "RETRY", Backoff(0.25, 3600.0))
    with knowing_a_limit(tmp_path) as (odd, _box):
        learned, began = odd.connections, time.monotonic()
        time.sleep(6)
        took = time.monotonic() - began
        # After 0.25, 0.5, 1, 2 s and the like.
        assert 1 <= odd.connections - learned <= 1 + math.log2(1 + took / 0.25)


def test_a_document_that_became_smaller_is_sent_at_once(tmp_path: Path) -> None:
    with (
        OddBroker(hangs_up_at=larger_than(700), refuses=lambda _: False) as odd,
        running(odd.port, tmp_path) as box,
    ):
        publish_all(box)
        until(lambda: TOPICS.state in box.last_error and box.connected, 60)
        before = odd.connections
        small = publishing.state(None, face=None, voice=None)
        box.publisher.publish_state(small, time.monotonic())
        until(lambda: on(odd, TOPICS.state))
        until(lambda: TOPICS.state not in box.last_error)
        assert odd.connections == before


# Somebody else's fault.


def test_a_broker_killed_again_and_again_while_documents_are_on_their_way_gets_them_all_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(size_limit, "RETRY", Backoff(1.0, 3600.0))
    publishing.reconnect_within(monkeypatch, 0.5)
    broker = Mosquitto(tmp_path)
    with broker, running(broker.port, tmp_path, faces=True, voice=True) as box:
        for _ in range(2 * size_limit.TRIES):
            until(lambda: box.connected, 30)
            publish_all(box)
            broker.restart()
        until(lambda: box.connected, 30)
        with Listener(broker, f"{TOPICS.root}/#", TOPICS.discovery) as listener:
            publish_all(box)
            for topic in (TOPICS.state, TOPICS.discovery, TOPICS.voice, TOPICS.faces):
                listener.wait_for(lambda _, topic=topic: publish_all(box) or listener.on(topic))
        until(lambda: box.last_error == "", 20)

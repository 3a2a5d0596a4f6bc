"""No event is lost, whatever dies: the broker, the connection, the publisher, the disk's patience."""

from __future__ import annotations

import re
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from support import publishing
from support.broker import Listener, Mosquitto
from support.proxy import Proxy
from support.publishing import TOPICS, assert_all_arrived, running, seqs, start_process
from support.waiting import until


def test_events_arrive_in_order_and_leave_the_outbox(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker, TOPICS.event) as listener, running(broker.port, tmp_path) as box:
        box.publish_events(100)
        listener.wait_for(lambda messages: len(messages) >= 100)
        until(lambda: box.outbox.depth == 0 and box.publisher.status.sent == 100)
        assert seqs(listener.messages) == list(range(1, 101))
        assert not any(message.retain for message in listener.messages)


def test_events_made_before_the_broker_is_there_arrive(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    with running(broker.port, tmp_path) as box:
        box.publish_events(30)
        until(lambda: "refuses connections" in box.last_error)
        with broker, Listener(broker, TOPICS.event) as listener:
            assert_all_arrived(listener, 30)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_broker_is_away_in_the_middle(broker: Mosquitto, tmp_path: Path, end: str) -> None:
    with Listener(broker, TOPICS.event, durable=True) as listener, running(broker.port, tmp_path) as box:
        box.publish_events(50)
        listener.wait_for(lambda messages: len(messages) >= 50)
        getattr(broker, end)()
        box.publish_events(100)
        until(lambda: not box.connected)
        assert box.outbox.depth == 100
        broker.start()
        box.publish_events(50)
        assert_all_arrived(listener, 200)
        until(lambda: box.outbox.depth == 0)
        assert box.publisher.status.reconnects >= 1
        until(lambda: box.last_error == "")


def test_a_broker_stopped_while_events_flow_loses_none(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker, TOPICS.event, durable=True) as listener, running(broker.port, tmp_path) as box:
        for _ in range(3):
            until(lambda: box.connected, 30)
            box.publish_events(10)
            broker.stop()
            box.publish_events(10)
            broker.start()
        assert_all_arrived(listener, 60)


def test_what_a_killed_broker_did_not_acknowledge_is_sent_again(broker: Mosquitto, tmp_path: Path) -> None:
    """mosquitto acknowledges before it saves: what it had acknowledged and not saved dies with it, whoever
    publishes. Everything else is owed."""
    owed: set[int] = set()
    with Listener(broker, TOPICS.event, durable=True) as listener, running(broker.port, tmp_path) as box:
        for _ in range(3):
            until(lambda: box.connected, 30)
            box.publish_events(10)
            broker.kill()
            box.publish_events(10)
            until(lambda: not box.connected)
            owed |= {stored.seq for stored in box.outbox.pending(0, 100)}
            broker.start()
        assert len(owed) >= 30
        # The last kill is followed by none: what arrives after it stays.
        until(lambda: box.outbox.depth == 0, 30)
        last = {seq for seq in owed if seq > 40}
        listener.wait_for(lambda messages: last <= set(seqs(messages)), 40)
        assert box.publisher.status.sent >= 60


def test_what_a_durable_subscriber_misses_is_kept_for_it(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker, TOPICS.event, durable=True):
        pass
    with running(broker.port, tmp_path, flush_s=10) as box:
        box.publish_events(40)
        until(lambda: box.outbox.depth == 0)
    until(lambda: re.search(rb'"seq": ?40\b', broker.store))
    broker.restart()
    with Listener(broker, TOPICS.event, durable=True) as listener:
        assert_all_arrived(listener, 40)


def test_a_publisher_killed_in_the_middle_loses_none(broker: Mosquitto, tmp_path: Path) -> None:
    appended: list[int] = []
    with Listener(broker, TOPICS.event) as listener:
        for _ in range(3):
            process = start_process(broker.port, tmp_path, 100_000)
            assert process.stdout is not None
            appended += [int(process.stdout.readline()) for _ in range(40)]
            process.send_signal(signal.SIGKILL)
            appended += [int(line) for line in process.communicate()[0].split()]
        last = start_process(broker.port, tmp_path, 10)
        appended += [int(line) for line in last.communicate(timeout=60)[0].split()]
        assert last.returncode == 0
        # One that was stored when the kill came, and not yet printed, is an event too.
        assert set(appended) <= set(range(1, appended[-1] + 1))
        assert len(appended) == len(set(appended)) >= 130
        assert_all_arrived(listener, appended[-1])


def test_a_publisher_killed_while_the_broker_is_away_loses_none(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    process = start_process(broker.port, tmp_path, 100_000)
    assert process.stdout is not None
    while int(process.stdout.readline()) < 30:
        pass
    process.kill()
    process.communicate()
    with broker, Listener(broker, TOPICS.event) as listener, running(broker.port, tmp_path) as box:
        box.publish_events(1)
        listener.wait_for(lambda messages: len(messages) >= 31)
        assert_all_arrived(listener, max(seqs(listener.messages)))


def test_stop_sends_what_waits(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker, TOPICS.event) as listener:
        with running(broker.port, tmp_path, flush_s=20) as box:
            until(lambda: box.connected)
            box.publish_events(60)
        assert_all_arrived(listener, 60)


def test_a_locked_store_holds_up_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker, TOPICS.event, durable=True) as listener, running(broker.port, tmp_path) as box:
        broker.stop()
        box.publish_events(5)
        lock = sqlite3.connect(tmp_path / "outbox.db", check_same_thread=False)
        lock.execute("BEGIN IMMEDIATE")  # as a tool that writes to the file would
        broker.start()
        assert_all_arrived(listener, 5)
        box.publish_events(3)
        assert box.outbox.fault is not None
        assert "locked" in box.outbox.fault
        assert str(tmp_path) in box.outbox.fault
        assert_all_arrived(listener, 8)
        lock.rollback()
        box.publish_events(1)
        until(lambda: box.outbox.fault is None, 30)
        assert_all_arrived(listener, 9)


# After an outage.


def test_a_backlog_goes_out_at_a_bounded_rate_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publishing.reconnect_within(monkeypatch, 0.2)
    broker = Mosquitto(tmp_path)
    with running(broker.port, tmp_path, replay_per_s=50.0) as box:
        box.publish_events(200)
        began = time.monotonic()
        with broker, Listener(broker, TOPICS.event) as listener:
            listener.wait_for(lambda messages: len(messages) >= 200, 60)
            took = time.monotonic() - began
            assert seqs(listener.messages) == list(range(1, 201))
    # The first ones may go at once.
    assert took > 0.9 * (200 - 40) / 50


def test_thousands_that_waited_arrive_in_order_and_none_is_missing(tmp_path: Path) -> None:
    waited = 2000
    publishing.store_events(tmp_path / publishing.OUTBOX, waited)
    with (
        Mosquitto(tmp_path, more="max_queued_messages 0\n") as broker,
        Listener(broker, TOPICS.event) as listener,
        running(broker.port, tmp_path) as box,
    ):
        listener.wait_for(lambda messages: len(messages) >= waited, 90)
        assert seqs(listener.messages) == list(range(1, waited + 1))
        until(lambda: box.outbox.depth == 0, 20)


# A thin line.


def test_of_a_document_only_the_newest_goes_over_a_slow_line(broker: Mosquitto, tmp_path: Path) -> None:
    with (
        Proxy(broker.port, delay_s=0.5) as network,
        Listener(broker, TOPICS.state) as listener,
        running(network.port, tmp_path) as box,
    ):
        until(lambda: box.connected, 20)
        began = time.monotonic()
        for emotion in ("happy", "sad") * 50 + ("fear",):
            box.publisher.publish_state(publishing.state(emotion), time.monotonic())
            time.sleep(0.01)
        listener.wait_for(lambda messages: messages and messages[-1].json["emotion"] == "fear")
        took = time.monotonic() - began
        assert len(listener.messages) < 3 + took  # one a second, which is how long an answer takes


def test_readings_that_a_thin_line_does_not_take_are_dropped_and_events_get_through(
    broker: Mosquitto, tmp_path: Path
) -> None:
    readings = 300
    with (
        Proxy(broker.port) as network,
        Listener(broker, f"{TOPICS.root}/+") as listener,
        running(network.port, tmp_path, voice=True) as box,
    ):
        listener.wait_for(lambda _: listener.on(TOPICS.availability))
        network.bytes_per_s = 5000
        for _ in range(readings):
            box.publisher.publish_voice(publishing.voice())
            time.sleep(0.01)
        began = time.monotonic()
        box.publish_events(1)
        listener.wait_for(lambda _: listener.on(TOPICS.event))
        assert time.monotonic() - began < 12
        assert 1 <= len(listener.on(TOPICS.voice)) < readings - 30
        assert box.publisher.status.reconnects == 0


def test_a_broker_that_takes_seconds_to_answer_is_spoken_to(broker: Mosquitto, tmp_path: Path) -> None:
    with (
        Proxy(broker.port, delay_s=2.0) as network,
        Listener(broker, TOPICS.event) as listener,
        running(network.port, tmp_path) as box,
    ):
        box.publish_events(3)
        listener.wait_for(lambda messages: len(messages) == 3, 40)
        assert box.publisher.status.reconnects == 0


def test_the_newest_of_many_comes_soon_over_a_quick_line(tmp_path: Path) -> None:
    waited = 600
    publishing.store_events(tmp_path / publishing.OUTBOX, waited)
    paces: list[float] = []
    with (
        Mosquitto(tmp_path, more="max_queued_messages 0\nautosave_on_changes false\nautosave_interval 60\n") as broker,
        Listener(broker, TOPICS.event) as listener,
        running(broker.port, tmp_path, replay_per_s=400.0) as box,
    ):
        box.publish_events(1)
        while waited + 1 not in seqs(listener.messages):
            paces.append(box.publisher._session._outgoing.events._rate.per_s)
            time.sleep(0.02)
        assert seqs(listener.messages) == list(range(1, waited + 2))
    assert max(paces) <= 400
    assert max(paces) >= 100  # it began with 50


def test_a_line_that_becomes_slow_slows_the_replay_down_and_loses_nothing(tmp_path: Path) -> None:
    waited = 400
    publishing.store_events(tmp_path / publishing.OUTBOX, waited)
    with (
        Mosquitto(tmp_path, more="max_queued_messages 0\n") as broker,
        Proxy(broker.port) as network,
        Listener(broker, TOPICS.event) as listener,
        running(network.port, tmp_path) as box,
    ):
        pace = box.publisher._session._outgoing.events._rate
        listener.wait_for(lambda messages: len(messages) >= 60)
        network.bytes_per_s = 20_000  # about 20 events a second
        until(lambda: pace.per_s < 50, 30)
        assert pace.window < 20
        network.bytes_per_s = float("inf")
        assert_all_arrived(listener, waited)
        assert box.publisher.status.reconnects == 0


def test_no_more_is_on_its_way_than_the_broker_wants_to_acknowledge(tmp_path: Path) -> None:
    waited, wanted = 60, 3
    on_way: list[int] = []
    publishing.store_events(tmp_path / publishing.OUTBOX, waited)
    with (
        Mosquitto(tmp_path, more=f"max_inflight_messages {wanted}\nmax_queued_messages 0\n") as broker,
        Proxy(broker.port, delay_s=0.02) as network,
        Listener(broker, TOPICS.event) as listener,
        running(network.port, tmp_path) as box,
    ):
        while waited not in seqs(listener.messages):
            on_way.append(len(box.publisher._session._outgoing.in_flight._unacknowledged))
            time.sleep(0.005)
        assert_all_arrived(listener, waited)
        assert max(on_way) == wanted
        assert box.publisher.status.reconnects == 0

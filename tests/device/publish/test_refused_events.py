"""Events that a broker does not take: kept, offered again, and dropped only when they are at fault."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from affectd.backoff import Backoff
from affectd.publish import connection_loop, event_sender, in_flight, replay_rate
from support import publishing
from support.broker import Listener, Mosquitto
from support.odd_broker import PACKET_TOO_LARGE, SERVER_SHUTTING_DOWN, SESSION_TAKEN_OVER, OddBroker, disconnect
from support.proxy import Proxy
from support.publishing import TOPICS, assert_all_arrived, running, seqs
from support.waiting import until

ALLOWED = "topic readwrite #\n"
DENIED = f"topic deny {TOPICS.event}\n{ALLOWED}"


def test_events_that_the_acl_denies_stay_and_everything_else_flows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_sender, "RETRY", Backoff(1.0, 1.0))
    with (
        Mosquitto(tmp_path, acl=DENIED) as broker,
        Listener(broker, "affectd/#") as listener,
        running(broker.port, tmp_path) as box,
    ):
        box.publish_events(50)
        until(lambda: box.publisher.status.denied > 0)
        assert TOPICS.event in box.last_error
        assert "ACL" in box.last_error
        assert box.connected
        assert box.outbox.depth == 50
        box.publisher.publish_state(publishing.state("sad"), time.monotonic())
        listener.wait_for(lambda _: listener.on(TOPICS.state))
        assert json.loads(listener.on(TOPICS.state)[0].payload)["emotion"] == "sad"

        broker.change_acl(ALLOWED)
        assert_all_arrived(listener, 50)
        until(lambda: box.outbox.depth == 0)
        assert box.last_error == ""
        # A denied event ends the round: not all that wait are thrown at the broker.
        assert box.publisher.status.denied <= replay_rate.MOST * 15


def test_an_event_that_the_broker_never_takes_holds_up_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    publishing.reconnect_within(monkeypatch, 4.0)
    with (
        Mosquitto(tmp_path, more="message_size_limit 8000\n") as broker,
        Listener(broker, TOPICS.event, durable=True) as listener,
        running(broker.port, tmp_path) as box,
    ):
        box.publish_events(3)
        box.outbox.append(lambda _seq, _id: b"x" * 9000)
        box.publish_events(10)
        listener.wait_for(lambda messages: 14 in seqs(messages), 60)
        until(lambda: box.outbox.depth == 0, 60)
        assert box.outbox.dropped == 1
        assert "event 4 is dropped, for the broker takes others: the broker refused it 3 times" in caplog.text
        box.publish_events(1)
        listener.wait_for(lambda messages: 15 in seqs(messages))
        until(lambda: box.last_error == "", 20)
    assert list(dict.fromkeys(seqs(listener.messages))) == [1, 2, 3, *range(5, 16)]


def test_an_event_that_is_refused_by_name_is_dropped_only_while_others_are_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_sender, "RETRY", Backoff(0.5, 0.5))
    with OddBroker(refuses=lambda payload: payload == b"odd") as odd, running(odd.port, tmp_path) as box:
        box.publish_events(2)
        box.outbox.append(lambda _seq, _id: b"odd")
        until(lambda: box.publisher.status.denied >= 3, 40)
        assert box.outbox.dropped == 0  # none came after it: it holds up nobody
        assert "Payload format invalid" in box.last_error
        box.publish_events(10)
        until(lambda: box.outbox.depth == 0, 60)
        assert box.outbox.dropped == 1
        assert "event 3 is dropped, for the broker takes others: the broker refused it 3 times" in caplog.text
        assert [json.loads(payload)["seq"] for payload in odd.accepted] == [1, 2, *range(4, 14)]
        assert odd.connections == 1


def test_an_event_that_a_sick_broker_never_acknowledged_is_not_taken_for_a_bad_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connection_loop, "UNACKNOWLEDGED_S", 0.5)
    publishing.reconnect_within(monkeypatch, 0.5)
    with OddBroker() as odd, running(odd.port, tmp_path) as box:
        box.publish_events(1)
        until(lambda: odd.connections > LOSSES, 60)
        odd.refuses = lambda _: False  # it is well again
        box.publish_events(2)
        assert_unharmed(odd, box, 3, caplog)


@pytest.mark.parametrize(
    ("goodbye", "blamed"),
    [
        (b"", True),
        (disconnect(PACKET_TOO_LARGE), True),
        (disconnect(SERVER_SHUTTING_DOWN), False),
        (disconnect(SESSION_TAKEN_OVER), False),
    ],
    ids=["not a word", "too large", "shutting down", "taken over"],
)
def test_an_event_is_blamed_for_what_may_be_its_fault(
    tmp_path: Path, goodbye: bytes, blamed: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    publishing.reconnect_within(monkeypatch, 0.5)
    with OddBroker(refuses=lambda _: False) as odd, running(odd.port, tmp_path) as box:
        odd.goodbye = goodbye
        box.publish_events(1)
        if blamed:
            # It is passed over, so that others get through.
            until(lambda: "it hung up 3 times when it was sent event 1" in box.last_error and box.connected, 30)
        else:
            until(lambda: odd.connections > LOSSES, 30)
            odd.goodbye = None  # it is well again
            assert_unharmed(odd, box, 1, caplog)


LOSSES = event_sender.TRIES + 2
"""More than an event survives that the broker hangs up at."""


@pytest.mark.parametrize("how", ["cut", "strand"])
def test_an_event_survives_a_network_that_breaks_off_again_and_again(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    publishing.reconnect_within(monkeypatch, 0.5)
    monkeypatch.setattr("affectd.publish.connection.KEEPALIVE_S", 1 if how == "strand" else 60)
    if how == "strand":  # our own keepalive never counts, however soon after an event it runs out
        monkeypatch.setattr(in_flight, "HANG_UP_S", 60.0)
    with OddBroker() as odd, Proxy(odd.port) as network, running(network.port, tmp_path) as box:
        box.publish_events(1)
        for lost in range(1, LOSSES + 1):
            until(lambda: box.connected, 30)
            if how == "cut":
                time.sleep(1.5 * in_flight.HANG_UP_S)
            getattr(network, how)()
            until(lambda lost=lost: box.publisher.status.reconnects == lost, 30)  # type: ignore[misc]
        odd.refuses = lambda _: False
        box.publish_events(2)
        assert_unharmed(odd, box, 3, caplog)


def assert_unharmed(odd: OddBroker, box: publishing.Running, events: int, caplog: pytest.LogCaptureFixture) -> None:
    """Every event arrives, and none was ever held to be a bad one."""
    until(lambda: box.outbox.depth == 0, 60)
    assert {json.loads(payload)["seq"] for payload in odd.accepted} == set(range(1, events + 1))
    assert box.outbox.dropped == 0
    assert "the broker does not take an event" not in caplog.text
    assert box.publisher.status.denied == 0
    until(lambda: box.last_error == "")

"""Brokers and networks that are away, slow, silent or refuse: every event arrives, and the log says what to do."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

from e2e.completeness import (
    EVENT,
    HEALTH,
    ROOT,
    assert_complete,
    count,
    last_seq,
    make_the_listener_known,
    newer_than_all_in,
    restless,
    stop,
    waiting,
)
from e2e.program import DEVICE
from support.broker import Listener, Message, Mosquitto
from support.fault_table import FaultTable
from support.proxy import Proxy
from support.publishing import store_events
from support.waiting import until

OWN_ID = "lobby"


def times_connected(broker: Mosquitto) -> int:
    """Count how often a device was let in under the daemon's client id."""
    return broker.log.count(f" as affectd-{DEVICE} (")


# Away.


def test_a_broker_that_is_down_at_the_start_gets_every_event(
    broker: Mosquitto, tmp_path: Path, fault_table: FaultTable
) -> None:
    make_the_listener_known(broker, f"{ROOT}/#")
    broker.stop()
    with restless(tmp_path, broker) as daemon:
        until(lambda: waiting(daemon.outbox) >= 3)
        assert f"localhost:{broker.port}: refuses connections; is the broker running" in daemon.log
        broker.start()
        began = time.monotonic()
        with Listener(broker, f"{ROOT}/#", durable=True) as listener:
            newer_than_all_in(daemon.outbox, listener)
            recovered_s = time.monotonic() - began
            stop(daemon, listener)
    repeated = assert_complete(listener.on(EVENT), daemon.outbox)
    assert "Traceback" not in daemon.log
    fault_table.record("broker down at start", recovered_s=recovered_s, repeated=repeated)


def test_a_night_of_events_follows_in_order_and_without_a_flood(tmp_path: Path, fault_table: FaultTable) -> None:
    waited = 600  # ten hours of one a minute
    broker = Mosquitto(tmp_path, more="max_queued_messages 0\n")
    with broker, restless(tmp_path, broker) as daemon:
        make_the_listener_known(broker, f"{ROOT}/#")
        daemon.kill()
        broker.stop()
        store_events(daemon.outbox, waited)
        daemon.start()
        until(lambda: waiting(daemon.outbox) > waited)
        waited = last_seq(daemon.outbox)
        broker.start()
        began = time.monotonic()
        with Listener(broker, f"{ROOT}/#", durable=True) as listener:
            arrivals: dict[int, float] = {}
            while waited not in arrivals:
                for seq in {message.json["seq"] for message in listener.on(EVENT)} - arrivals.keys():
                    arrivals[seq] = time.monotonic()
                assert time.monotonic() - began < 60, daemon.log
                time.sleep(0.1)
            newer_than_all_in(daemon.outbox, listener)
            recovered_s = time.monotonic() - began
            stop(daemon, listener)
    repeated = assert_complete(listener.on(EVENT), daemon.outbox)
    took = arrivals[waited] - began
    assert took > 2.0  # the pace begins at 50 a second, and rises by 50 every half second
    rate = waited / took
    remark = f"{waited} events waited, followed at {rate:.0f} a second; after minutes it is asked every 15 to 30 s only"
    fault_table.record("broker down for hours", recovered_s=recovered_s, repeated=repeated, remark=remark)


# Refuses.


def test_a_wrong_password_is_said_and_the_mended_one_is_taken(tmp_path: Path, fault_table: FaultTable) -> None:
    with Mosquitto(tmp_path, user=DEVICE, password="right") as broker:
        make_the_listener_known(broker, f"{ROOT}/#")
        with restless(tmp_path, broker) as daemon, Listener(broker, f"{ROOT}/#", durable=True) as listener:
            daemon.kill()
            daemon.password_file.write_text("wrong\n")
            daemon.start()
            until(lambda: "refuses user name 'box' (Not authorized); see mqtt.username" in daemon.log)
            until(lambda: waiting(daemon.outbox) >= 3)
            assert times_connected(broker) <= 1
            daemon.password_file.write_text("right\n")
            recovered_s = newer_than_all_in(daemon.outbox, listener)
            stop(daemon, listener)
    repeated = assert_complete(listener.on(EVENT), daemon.outbox)
    remark = "the file is read at every attempt"
    fault_table.record("broker refuses: wrong password", recovered_s=recovered_s, repeated=repeated, remark=remark)


def test_an_acl_that_denies_events_is_said_in_health_and_costs_none(tmp_path: Path, fault_table: FaultTable) -> None:
    allowed = "topic readwrite #\n"
    with (
        Mosquitto(tmp_path, acl=f"topic deny {EVENT}\n{allowed}") as broker,
        Listener(broker, f"{ROOT}/#") as listener,
        restless(tmp_path, broker) as daemon,
    ):
        health = told(listener, f"the broker does not take events on {EVENT}: Not authorized; see its ACL")
        assert health["events_denied"] > 0
        assert health["status"] == "degraded"
        assert count(listener.messages) == 0
        broker.change_acl(allowed)
        recovered_s = newer_than_all_in(daemon.outbox, listener)
        stop(daemon, listener)
    repeated = assert_complete(listener.on(EVENT), daemon.outbox)
    fault_table.record("broker refuses: ACL denies events", recovered_s=recovered_s, repeated=repeated)


def test_an_acl_that_denies_discovery_is_said_in_health(tmp_path: Path) -> None:
    discovery = f"homeassistant/device/{DEVICE}/config"
    with (
        Mosquitto(tmp_path, acl=f"topic deny {discovery}\ntopic readwrite #\n") as broker,
        Listener(broker, f"{ROOT}/#") as listener,
        restless(tmp_path, broker) as daemon,
    ):
        health = told(listener, f"the broker does not take {discovery} (Not authorized); see its ACL")
        assert health["status"] == "degraded"
        assert daemon.log.count(discovery) == 1


def told(listener: Listener, sentence: str) -> dict[str, Any]:
    """Wait for a health with this sentence about the broker, and give it."""

    def found() -> list[dict[str, Any]]:
        healths: list[dict[str, Any]] = [message.json for message in listener.on(HEALTH)]
        return [health for health in healths if sentence in str(health["broker_error"])]

    listener.wait_for(lambda _: found())
    return found()[0]


# Slow, or silent.


def test_a_second_of_delay_each_way_delays_events_and_nothing_else(
    broker: Mosquitto, tmp_path: Path, fault_table: FaultTable
) -> None:
    with (
        Proxy(broker.port, delay_s=1.0) as network,
        Listener(broker, f"{ROOT}/#") as listener,
        restless(tmp_path, broker, mqtt={"port": network.port}) as daemon,
    ):
        listener.wait_for(lambda messages: count(messages) >= 6)
        # The first were made before it was connected.
        listener.wait_for(lambda _: any(health.json["broker_protocol"] for health in listener.on(HEALTH)))
        healths = [health.json for health in listener.on(HEALTH)]
        assert {health["broker_protocol"] for health in healths} <= {None, "MQTT 5"}
        assert {health["broker_reconnects"] for health in healths} == {0}
        network.delay_s = 0.0
        recovered_s = newer_than_all_in(daemon.outbox, listener)
        stop(daemon, listener)
        assert network.connections == 1
    repeated = assert_complete(listener.on(EVENT), daemon.outbox)
    remark = "one connection throughout"
    fault_table.record("broker slow: 1 s each way", recovered_s=recovered_s, repeated=repeated, remark=remark)


def test_on_a_line_too_thin_for_all_events_come_first(
    broker: Mosquitto, tmp_path: Path, fault_table: FaultTable
) -> None:
    thin = 3000
    with (
        Proxy(broker.port, bytes_per_s=thin) as network,
        Listener(broker, f"{ROOT}/#") as listener,
        restless(tmp_path, broker, every_s=2.0, mqtt={"port": network.port, "faces": True, "voice": True}) as daemon,
    ):
        listener.wait_for(lambda messages: count(messages) >= 1)
        arrivals: list[tuple[int, int]] = []
        end = time.monotonic() + 5
        while time.monotonic() < end:
            arrivals.append((last_seq(daemon.outbox), count(listener.messages)))
            time.sleep(0.2)
        behind = max(stored - arrived for stored, arrived in arrivals)
        assert behind <= 12
        network.bytes_per_s = float("inf")
        recovered_s = newer_than_all_in(daemon.outbox, listener)
        stop(daemon, listener)
        assert network.connections == 1, daemon.log
    repeated = assert_complete(listener.on(EVENT), daemon.outbox)
    remark = f"readings are dropped for it; at most {behind} events on their way"
    fault_table.record(f"broker slow: {thin} bytes/s", recovered_s=recovered_s, repeated=repeated, remark=remark)


def test_a_line_of_a_few_bytes_a_second_costs_no_event_and_no_storm(
    broker: Mosquitto, tmp_path: Path, fault_table: FaultTable
) -> None:
    with (
        Proxy(broker.port) as network,
        Listener(broker, f"{ROOT}/#") as listener,
        restless(tmp_path, broker, mqtt={"port": network.port}) as daemon,
    ):
        listener.wait_for(lambda messages: count(messages) >= 1)
        network.bytes_per_s = 10
        until(lambda: waiting(daemon.outbox) >= 6)
        assert network.connections <= 3
        network.bytes_per_s = float("inf")
        recovered_s = newer_than_all_in(daemon.outbox, listener)
        stop(daemon, listener)
    repeated = assert_complete(listener.on(EVENT), daemon.outbox)
    fault_table.record("broker slow: 10 bytes/s", recovered_s=recovered_s, repeated=repeated)


def test_a_peer_that_vanishes_without_a_word_is_noticed(
    broker: Mosquitto, tmp_path: Path, fault_table: FaultTable
) -> None:
    with (
        Proxy(broker.port) as network,
        Listener(broker, f"{ROOT}/#") as listener,
        restless(tmp_path, broker, mqtt={"port": network.port}) as daemon,
    ):
        listener.wait_for(lambda messages: count(messages) >= 2)
        network.strand()
        began, before = time.monotonic(), count(listener.messages)
        newer_than_all_in(daemon.outbox, listener)
        recovered_s = time.monotonic() - began
        assert recovered_s > 5, "the connection was not half-open"
        listener.wait_for(lambda messages: count(messages) - before >= 5)  # all that happened meanwhile
        stop(daemon, listener)
        assert network.connections == 2
    repeated = assert_complete(listener.on(EVENT), daemon.outbox)
    remark = "from the last byte; found by keepalive"
    fault_table.record("half-open TCP", recovered_s=recovered_s, repeated=repeated, remark=remark)


# Two of them.


def test_two_devices_with_one_id_are_told_and_lose_nothing(
    broker: Mosquitto, tmp_path: Path, fault_table: FaultTable
) -> None:
    rival, remedy = "another client has the same client id", "give each device an id of its own (device.id)"

    def is_said(messages: list[Message]) -> bool:
        errors = [message.json["broker_error"] or "" for message in messages if message.topic == HEALTH]
        return any(rival in error and remedy in error for error in errors)

    with (
        Listener(broker, "affectd/#") as listener,
        restless(tmp_path / "first", broker) as first,
        restless(tmp_path / "second", broker) as second,
    ):
        began = time.monotonic()
        listener.wait_for(is_said)
        found_s = time.monotonic() - began
        assert any(rival in daemon.log and remedy in daemon.log for daemon in (first, second))
        assert times_connected(broker) < 6 + 2 * found_s  # no storm
        second.kill()
        settings = second.settings_file.read_text()
        second.settings_file.write_text(settings.replace(f'id = "{DEVICE}"', f'id = "{OWN_ID}"'))
        second.start()
        began = time.monotonic()
        newer_than_all_in(first.outbox, listener)
        listener.wait_for(lambda _: len(listener.on(f"affectd/{OWN_ID}/event")) >= 2)
        recovered_s = time.monotonic() - began
        for daemon in (first, second):
            daemon.send(signal.SIGTERM)
            assert daemon.wait() == 0
            assert waiting(daemon.outbox) == 0, daemon.log
        stored = last_seq(first.outbox) + last_seq(second.outbox)
        events = listener.wait_for(lambda messages: len(ids_of(messages)) == stored)
    repeated = sum(message.topic.endswith("/event") for message in events) - stored
    remark = f"said in log and health after {found_s:.0f} s; back: once one has an id of its own"
    fault_table.record("two devices with one client id", recovered_s=recovered_s, repeated=repeated, remark=remark)


def ids_of(messages: list[Message]) -> set[str]:
    """Return the ids of the events of all devices."""
    return {message.json["id"] for message in messages if message.topic.endswith("/event")}

"""Every event arrives, in order and without a gap, whatever dies in the middle: the broker, the daemon or the disk."""

from __future__ import annotations

import errno
import signal
import sqlite3
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from e2e.completeness import (
    AVAILABILITY,
    EVENT,
    HEALTH,
    assert_complete,
    count,
    last_seq,
    make_the_listener_known,
    newer_than_all_in,
    restless,
    stop,
    waiting,
)
from support.broker import Listener, Mosquitto
from support.fault_table import FaultTable
from support.preloads import build_preload
from support.proxy import Proxy
from support.waiting import until

PAGE = 4096


class FreezableMosquitto(Mosquitto):
    """A broker that can hang: its sockets take what is sent, and nobody answers."""

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def test_a_broker_killed_for_ten_seconds_costs_no_event(
    broker: Mosquitto, tmp_path: Path, fault_table: FaultTable
) -> None:
    with Listener(broker, "affectd/#", durable=True) as listener, restless(tmp_path, broker) as daemon:
        before = count(listener.wait_for(lambda messages: count(messages) >= 3))
        broker.kill()
        time.sleep(10)
        until(lambda: waiting(daemon.outbox) >= 3)
        stored = waiting(daemon.outbox)
        broker.start()
        recovered_s = newer_than_all_in(daemon.outbox, listener)
        listener.wait_for(lambda messages: count(messages) >= before + stored + 3)
        stop(daemon, listener)
        listener.wait_for(lambda _: listener.on(AVAILABILITY)[-1].payload == b"offline")
    repeated = assert_complete(listener.on(EVENT), daemon.outbox)
    remark = f"{stored} events waited"
    fault_table.record("broker killed for 10 s", recovered_s=recovered_s, repeated=repeated, remark=remark)
    assert "events wait in the outbox" in daemon.log
    assert "Traceback" not in daemon.log


def test_kill_9_of_the_daemon_costs_no_event(broker: Mosquitto, tmp_path: Path, fault_table: FaultTable) -> None:
    with Listener(broker, "affectd/#", durable=True) as listener, restless(tmp_path, broker) as daemon:
        listener.wait_for(lambda messages: count(messages) >= 2)
        daemon.kill()
        listener.wait_for(lambda messages: messages[-1] == (AVAILABILITY, b"offline", False))
        before = count(listener.messages)
        began = time.monotonic()
        daemon.start()
        listener.wait_for(lambda messages: count(messages) >= before + 2)
        recovered_s = time.monotonic() - began
        stop(daemon, listener)
    repeated = assert_complete(listener.on(EVENT), daemon.outbox)
    fault_table.record("kill -9 of the whole daemon", recovered_s=recovered_s, repeated=repeated)


def test_what_a_killed_daemon_had_stored_is_sent_by_the_next(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker, "affectd/#", durable=True) as listener, restless(tmp_path, broker) as daemon:
        listener.wait_for(lambda messages: count(messages) >= 1)
        broker.kill()
        until(lambda: waiting(daemon.outbox) >= 2)
        daemon.kill()
        broker.start()
        daemon.start()
        listener.wait_for(lambda messages: count(messages) >= 4)
        stop(daemon, listener)
    assert_complete(listener.on(EVENT), daemon.outbox)


def test_what_a_broker_was_sent_but_never_took_is_sent_again(tmp_path: Path, fault_table: FaultTable) -> None:
    with (
        FreezableMosquitto(tmp_path) as broker,
        Proxy(broker.port) as network,
        Listener(broker, "affectd/#", durable=True) as listener,
        restless(tmp_path, broker, mqtt={"port": network.port}) as daemon,
    ):
        listener.wait_for(lambda messages: count(messages) >= 1)
        broker.freeze()
        until(lambda: waiting(daemon.outbox) >= 2)
        newest = last_seq(daemon.outbox)
        until(lambda: f'"seq":{newest},'.encode() in network.to_broker)
        broker.restart()
        recovered_s = newer_than_all_in(daemon.outbox, listener)
        listener.wait_for(lambda messages: count(messages) >= 5)
        stop(daemon, listener)
    repeated = assert_complete(listener.on(EVENT), daemon.outbox)
    fault_table.record("broker hangs and is killed in the middle", recovered_s=recovered_s, repeated=repeated)


def test_an_event_that_was_sent_twice_has_one_id(tmp_path: Path, fault_table: FaultTable) -> None:
    with (
        FreezableMosquitto(tmp_path) as broker,
        Proxy(broker.port) as network,
        Listener(broker, "affectd/#", durable=True) as listener,
        restless(tmp_path, broker, mqtt={"port": network.port}) as daemon,
    ):
        before = count(listener.wait_for(lambda messages: count(messages) >= 1))
        broker.freeze()
        stored = last_seq(daemon.outbox)
        until(lambda: f'"seq":{stored + 1},'.encode() in network.to_broker)
        daemon.send(signal.SIGSTOP)
        broker.thaw()
        listener.wait_for(lambda messages: count(messages) > before)
        daemon.kill()  # before it has read the acknowledgement
        daemon.start()
        began = time.monotonic()
        after = count(listener.messages)
        listener.wait_for(lambda messages: count(messages) >= after + 3)
        recovered_s = time.monotonic() - began
        stop(daemon, listener)
    repeated = assert_complete(listener.on(EVENT), daemon.outbox)
    assert repeated >= 1
    fault_table.record("kill -9 before the broker's answer is read", recovered_s=recovered_s, repeated=repeated)


def test_an_outbox_that_cannot_be_written_for_a_while_loses_no_event(
    broker: Mosquitto, tmp_path: Path, fault_table: FaultTable
) -> None:
    with Listener(broker, "affectd/#") as listener, restless(tmp_path, broker) as daemon:
        listener.wait_for(lambda messages: count(messages) >= 1)
        with closing(sqlite3.connect(daemon.outbox, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            until(lambda: "kept in memory" in daemon.log)
        began, stored = time.monotonic(), last_seq(daemon.outbox)
        until(lambda: last_seq(daemon.outbox) > stored)
        recovered_s = time.monotonic() - began
        listener.wait_for(lambda messages: any(m.topic == EVENT and m.json["seq"] > stored + 1 for m in messages))
        stop(daemon, listener)
        events = listener.on(EVENT)
    repeated = assert_complete(events, tmp_path / "outbox.db")
    fault_table.record("outbox locked by another program", recovered_s=recovered_s, repeated=repeated)
    emotions = [(event.json["previous"], event.json["emotion"]) for event in events]
    assert all(before[1] == after[0] for before, after in pairwise(emotions))


@pytest.mark.parametrize(
    ("number", "what"), [(errno.ENOSPC, "disk full"), (errno.EROFS, "read-only file system"), (errno.EIO, "disk fails")]
)
def test_a_disk_that_takes_nothing_for_a_while_costs_no_event(
    broker: Mosquitto,
    tmp_path: Path,
    fault_table: FaultTable,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    what: str,
) -> None:
    switch = tmp_path / "errno"
    monkeypatch.setenv("LD_PRELOAD", build_preload("bad_disk", tmp_path))
    monkeypatch.setenv("BAD_DISK", str(switch))
    with Listener(broker, "affectd/#") as listener, restless(tmp_path, broker) as daemon:
        listener.wait_for(lambda messages: count(messages) >= 1)
        switch.write_text(str(number))
        listener.wait_for(lambda _: any(health.json["outbox_error"] for health in listener.on(HEALTH)))
        assert {h.json["status"] for h in listener.on(HEALTH) if h.json["outbox_error"]} == {"degraded"}
        before = count(listener.messages)
        listener.wait_for(lambda messages: count(messages) >= before + 2)  # they are sent from memory
        stuck_at = last_seq(daemon.outbox)
        switch.unlink()
        began = time.monotonic()
        until(lambda: last_seq(daemon.outbox) > stuck_at)
        recovered_s = time.monotonic() - began
        listener.wait_for(lambda _: listener.on(HEALTH)[-1].json["outbox_error"] is None)
        stop(daemon, listener)
    repeated = assert_complete(listener.on(EVENT), daemon.outbox)
    assert "Traceback" not in daemon.log
    remark = "sent from memory meanwhile"
    fault_table.record(what, recovered_s=recovered_s, repeated=repeated, remark=remark)


@pytest.mark.parametrize(
    ("number", "what"),
    [(errno.ENOSPC, "disk full when it starts"), (errno.EROFS, "read-only file system when it starts")],
)
def test_a_disk_that_takes_nothing_at_the_start_costs_no_event(
    broker: Mosquitto,
    tmp_path: Path,
    fault_table: FaultTable,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    what: str,
) -> None:
    switch = tmp_path / "errno"
    monkeypatch.setenv("LD_PRELOAD", build_preload("bad_disk", tmp_path))
    monkeypatch.setenv("BAD_DISK", str(switch))
    make_the_listener_known(broker, "affectd/#")
    broker.stop()
    with restless(tmp_path, broker) as daemon:
        until(lambda: waiting(daemon.outbox) >= 2)
        daemon.kill()
        stored = waiting(daemon.outbox)
        switch.write_text(str(number))
        broker.start()
        daemon.start()
        with Listener(broker, "affectd/#", durable=True) as listener:
            listener.wait_for(lambda messages: count(messages) >= 2)  # from memory
            listener.wait_for(lambda _: listener.on(HEALTH) and listener.on(HEALTH)[-1].json["outbox_error"])
            switch.unlink()
            began = time.monotonic()
            listener.wait_for(lambda _: set(range(1, stored + 1)) <= {e.json["seq"] for e in listener.on(EVENT)})
            recovered_s = time.monotonic() - began
            stop(daemon, listener)
    events = [event.json for event in listener.on(EVENT)]
    assert {event["seq"] for event in events} == set(range(1, last_seq(daemon.outbox) + 1))
    repeated = len(events) - len({event["id"] for event in events})
    remark = "new events are sent from memory, the stored ones after it"
    fault_table.record(what, recovered_s=recovered_s, repeated=repeated, remark=remark)


def test_a_damaged_outbox_costs_only_what_stood_on_the_bad_page(
    broker: Mosquitto, tmp_path: Path, fault_table: FaultTable
) -> None:
    make_the_listener_known(broker, "affectd/#")
    broker.stop()
    with restless(tmp_path, broker) as daemon:
        until(lambda: waiting(daemon.outbox) >= 8)
        daemon.send(signal.SIGTERM)
        daemon.wait()
        stored = waiting(daemon.outbox)
        with daemon.outbox.open("r+b") as file:
            file.seek(-PAGE, 2)
            file.write(b"\x55" * PAGE)
        broker.start()
        with Listener(broker, "affectd/#", durable=True) as listener:
            began = time.monotonic()
            daemon.start()
            listener.wait_for(lambda messages: any(m.topic == EVENT and m.json["seq"] > stored for m in messages))
            recovered_s = time.monotonic() - began
            listener.wait_for(lambda _: any(health.json["outbox_damaged"] for health in listener.on(HEALTH)))
            stop(daemon, listener)
        seqs = [event.json["seq"] for event in listener.on(EVENT)]
    lost = sorted(set(range(1, seqs[-1] + 1)) - set(seqs))
    assert 1 <= len(lost) <= 6  # events of about 700 bytes, those in which nobody is there, on a page of 4 kB
    assert seqs == sorted(seqs)
    health = listener.on(HEALTH)[-1].json
    assert (health["outbox_damaged"], health["outbox_dropped"]) == (1, len(lost))
    assert f"{stored - len(lost)} event(s) were read out of" in daemon.log
    assert f"{len(lost)} were lost" in daemon.log
    remark = f"{stored} waited; lost is what stood on the one page of 4 kB that was overwritten"
    repeated = len(seqs) - len(set(seqs))
    fault_table.record("outbox file corrupt", recovered_s=recovered_s, lost=len(lost), repeated=repeated, remark=remark)

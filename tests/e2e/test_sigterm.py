"""SIGTERM in every state: ends in time with exit code 0, and what was stored is sent, then or by the next start."""

from __future__ import annotations

import fcntl
import re
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from affectd.daemon import LAST_EVENTS_S
from e2e.completeness import EVENT, ROOT, assert_complete, count, last_seq, restless, waiting
from e2e.program import CLIP, Affectd
from support.broker import Listener, Message, Mosquitto, free_port
from support.fault_table import FaultTable
from support.proc import heeds_sigterm, open_files, pid_of, send
from support.publishing import running
from support.sound_server import SoundServer
from support.waiting import DEADLINE_S, until

UNIT = Path(__file__).parents[2] / "systemd" / "affectd.service"
TIMEOUT_STOP_S = float(re.findall(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), re.MULTILINE)[0])


def told_to_end(daemon: Affectd) -> float:
    """Send SIGTERM, check how it ends, and give how long that took."""
    began = time.monotonic()
    send(daemon, signal.SIGTERM)
    return ended(daemon, began)


def ended(daemon: Affectd, began: float) -> float:
    assert daemon.wait(TIMEOUT_STOP_S) == 0, daemon.log
    assert "Traceback" not in daemon.log
    assert "Fatal" not in daemon.log
    return time.monotonic() - began


def repeated_in(listener: Listener, outbox: Path) -> int:
    """Wait until the last event has arrived, check that all have, and give how many came again."""
    last = last_seq(outbox)
    until(lambda: last in {message.json["seq"] for message in listener.on(EVENT)})
    return assert_complete(listener.on(EVENT), outbox)


def in_state(state: str, component: str, messages: list[Message]) -> bool:
    healths = [message.json for message in messages if message.topic == f"{ROOT}/health"]
    return bool(healths) and healths[-1]["components"][component]["state"] == state


def test_sigterm_at_any_moment_of_the_start(broker: Mosquitto, tmp_path: Path, fault_table: FaultTable) -> None:
    daemon = restless(tmp_path, broker)
    slowest = 0.0
    for moment in range(6):
        daemon.start()
        until(lambda: heeds_sigterm(pid_of(daemon)))
        time.sleep(moment * 0.15)
        slowest = max(slowest, told_to_end(daemon))
    with Listener(broker, EVENT) as listener, daemon:
        listener.wait_for(lambda messages: count(messages) >= 2)
        told_to_end(daemon)
    fault_table.record("SIGTERM while starting", recovered_s=None, remark=f"6 moments, ended within {slowest:.1f} s")


def test_sigterm_while_it_waits_for_the_outbox(tmp_path: Path, fault_table: FaultTable) -> None:
    daemon = Affectd(tmp_path, camera={"source": str(CLIP)})
    lock = daemon.outbox.with_name(daemon.outbox.name + ".lock")
    with lock.open("w") as held, daemon:
        fcntl.flock(held, fcntl.LOCK_EX)
        until(lambda: str(lock) in open_files(pid_of(daemon)).values())
        took = told_to_end(daemon)
    fault_table.record("SIGTERM while waiting for the outbox", recovered_s=None, remark=f"ended after {took:.1f} s")


def test_sigterm_while_running(broker: Mosquitto, tmp_path: Path, fault_table: FaultTable) -> None:
    with Listener(broker, f"{ROOT}/#") as listener, restless(tmp_path, broker) as daemon:
        listener.wait_for(lambda messages: count(messages) >= 2)
        took = told_to_end(daemon)
        assert waiting(daemon.outbox) == 0
        repeated = repeated_in(listener, daemon.outbox)
        listener.wait_for(lambda messages: messages[-1] == (f"{ROOT}/availability", b"offline", False))
    fault_table.record("SIGTERM while running", recovered_s=None, repeated=repeated, remark=f"ended after {took:.1f} s")


def test_sigterm_in_privacy(broker: Mosquitto, tmp_path: Path, fault_table: FaultTable) -> None:
    settings = {"camera": {"source": str(CLIP)}, "privacy": {"start_on": True}}
    with Listener(broker, f"{ROOT}/#") as listener, Affectd(tmp_path, broker, **settings) as daemon:
        listener.wait_for(lambda messages: in_state("off", "camera", messages))
        took = told_to_end(daemon)
        listener.wait_for(lambda messages: messages[-1] == (f"{ROOT}/availability", b"offline", False))
    fault_table.record("SIGTERM in privacy", recovered_s=None, remark=f"ended after {took:.1f} s")


def test_sigterm_while_the_broker_is_down(tmp_path: Path, fault_table: FaultTable) -> None:
    broker = Mosquitto(tmp_path)
    with restless(tmp_path, broker) as daemon:
        until(lambda: daemon.outbox.exists() and "refuses connections" in daemon.log)
        until(lambda: waiting(daemon.outbox) >= 2)
        took = told_to_end(daemon)
        with broker, Listener(broker, EVENT) as listener:
            began = time.monotonic()
            daemon.start()
            listener.wait_for(lambda messages: count(messages) >= 4)
            back = time.monotonic() - began
            told_to_end(daemon)
            repeated = repeated_in(listener, daemon.outbox)
    fault_table.record(
        "SIGTERM while the broker is down",
        recovered_s=back,
        repeated=repeated,
        remark=f"ended after {took:.1f} s; the next start sends what waited",
    )


def test_sigterm_while_the_broker_hangs(tmp_path: Path, fault_table: FaultTable) -> None:
    """It waits for the broker in vain; a second and a third signal meanwhile change nothing."""
    with (
        Mosquitto(tmp_path) as broker,
        Listener(broker, EVENT, durable=True) as listener,
        restless(tmp_path, broker) as daemon,
    ):
        listener.wait_for(lambda messages: count(messages) >= 1)
        send(broker, signal.SIGSTOP)
        stored = last_seq(daemon.outbox)
        until(lambda: last_seq(daemon.outbox) > stored)
        began = time.monotonic()
        send(daemon, signal.SIGTERM)
        for number in (signal.SIGTERM, signal.SIGINT):
            time.sleep(0.4)
            send(daemon, number)
        took = ended(daemon, began)
        assert took > 0.9 * LAST_EVENTS_S, "it did not wait for the broker: nothing was at stake"
        send(broker, signal.SIGCONT)
        daemon.start()
        listener.wait_for(lambda messages: count(messages) >= stored + 3)
        told_to_end(daemon)
        repeated = repeated_in(listener, daemon.outbox)
    fault_table.record(
        "SIGTERM, and two signals more, while the broker hangs",
        recovered_s=None,
        repeated=repeated,
        remark=f"ended after {took:.1f} s",
    )


def test_sigterm_while_the_camera_is_away(broker: Mosquitto, tmp_path: Path, fault_table: FaultTable) -> None:
    settings = {"camera": {"source": "/dev/video97"}, "microphone": {"source": "off"}}
    with Listener(broker, f"{ROOT}/#") as listener, Affectd(tmp_path, broker, **settings) as daemon:
        listener.wait_for(lambda messages: in_state("waiting", "camera", messages))
        took = told_to_end(daemon)
    assert "was told to stop and has not" not in daemon.log  # it did not sit out the back-off
    fault_table.record("SIGTERM while the camera is away", recovered_s=None, remark=f"ended after {took:.1f} s")


def test_sigterm_while_a_stream_is_being_opened(broker: Mosquitto, tmp_path: Path, fault_table: FaultTable) -> None:
    with socket.create_server(("127.0.0.1", 0)) as camera:
        settings = {
            "camera": {"source": f"http://127.0.0.1:{camera.getsockname()[1]}/", "timeout_s": 60.0},
            "microphone": {"source": "off"},
        }
        with Listener(broker, f"{ROOT}/#") as listener, Affectd(tmp_path, broker, **settings) as daemon:
            camera.settimeout(DEADLINE_S)
            taken, _ = camera.accept()  # and never answers
            listener.wait_for(lambda messages: in_state("starting", "camera", messages))
            took = told_to_end(daemon)
            taken.close()
            assert "camera was told to stop and has not" in daemon.log
    fault_table.record("SIGTERM while a dead stream is opened", recovered_s=None, remark=f"ended after {took:.1f} s")


def test_sigterm_while_the_microphone_is_being_opened(
    sound_server: SoundServer, broker: Mosquitto, tmp_path: Path, fault_table: FaultTable
) -> None:
    settings = {"camera": {"source": "off"}, "inference": {"face": "off"}, "microphone": {"source": "default"}}
    with Listener(broker, f"{ROOT}/#") as listener, Affectd(tmp_path, broker, **settings) as daemon:
        listener.wait_for(lambda messages: in_state("running", "microphone", messages))
        told_to_end(daemon)
        send(sound_server, signal.SIGSTOP)  # its socket takes what is sent, and nobody answers
        seen = len(listener.messages)
        daemon.start()
        listener.wait_for(lambda messages: in_state("starting", "microphone", messages[seen:]))
        took = told_to_end(daemon)
        send(sound_server, signal.SIGCONT)
    assert "microphone was told to stop and has not" in daemon.log
    fault_table.record(
        "SIGTERM while a hanging microphone is opened", recovered_s=None, remark=f"ended after {took:.1f} s"
    )


def test_sigterm_while_the_outbox_is_replayed(tmp_path: Path, fault_table: FaultTable) -> None:
    broker = Mosquitto(tmp_path)
    with running(free_port(), tmp_path, flush_s=0.0) as box:  # nobody listens there
        box.publish_events(300)
    settings: dict[str, Mapping[str, Any]] = {
        "camera": {"source": "/dev/video97"},
        "microphone": {"source": "off"},
        "outbox": {"replay_per_s": 50.0},
    }
    with broker, Listener(broker, EVENT) as listener, Affectd(tmp_path, broker, **settings) as daemon:
        listener.wait_for(lambda messages: count(messages) >= 25)
        took = told_to_end(daemon)
        assert 0 < waiting(daemon.outbox) < 300
        began = time.monotonic()
        daemon.start()
        repeated = repeated_in(listener, daemon.outbox)
        back = time.monotonic() - began
        told_to_end(daemon)
        assert waiting(daemon.outbox) == 0
    fault_table.record(
        "SIGTERM while the outbox is replayed",
        recovered_s=back,
        repeated=repeated,
        remark=f"ended after {took:.1f} s, the rest sent by the next start",
    )

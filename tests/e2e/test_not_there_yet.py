"""A camera, a broker or a password that is not there yet is waited for, said clearly, and costs no event."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from e2e.program import DEVICE, RESTLESS, Affectd, blinking_person
from support.broker import Listener, Message, Mosquitto
from support.fault_table import FaultTable
from support.waiting import until

ROOT = f"affectd/{DEVICE}"


def cost(events: list[Message]) -> dict[str, int]:
    """Count which numbers are missing, and which events came again under the same id."""
    lost = max(event.json["seq"] for event in events) - len({event.json["seq"] for event in events})
    return {"lost": lost, "repeated": len(events) - len({event.json["id"] for event in events})}


def test_a_camera_that_is_not_there_is_waited_for(broker: Mosquitto, tmp_path: Path, fault_table: FaultTable) -> None:
    settings = {"camera": {"source": "/dev/video97"}, "microphone": {"source": "off"}}
    with Listener(broker, f"{ROOT}/health") as listener, Affectd(tmp_path, broker, **settings) as daemon:
        messages = listener.wait_for(
            lambda messages: messages and messages[-1].json["components"]["camera"]["state"] == "waiting"
        )
        health = messages[-1].json
        assert health["status"] == "degraded"
        assert "/dev/video97" in health["components"]["camera"]["last_error"]
        listener.wait_for(lambda messages: messages[-1].json["components"]["camera"]["restarts"] >= 2)
        assert daemon.runs
    assert daemon.log.count("/dev/video97") == 1  # said once, not at every try
    assert "Traceback" not in daemon.log
    fault_table.record("no camera at start", recovered_s=None, remark="tried again for ever, health says why")


def test_a_libcamera_that_fails_is_no_reason_to_end(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "picamera2.py").write_text("raise RuntimeError('libcamera has no pipeline')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with Listener(broker, f"{ROOT}/health") as listener, Affectd(tmp_path, broker) as daemon:  # auto is the default
        listener.wait_for(lambda messages: messages and messages[-1].json["components"]["camera"]["restarts"] >= 2)
        assert "libcamera has no pipeline" in daemon.log
        assert daemon.runs
    assert "Traceback" not in daemon.log


def test_a_password_that_the_broker_refuses_costs_no_event_once_mended(tmp_path: Path, fault_table: FaultTable) -> None:
    clip = blinking_person(tmp_path / "blinking.mp4")
    with (
        Mosquitto(tmp_path, user="affectd", password="the right one") as broker,
        Listener(broker, f"{ROOT}/event") as listener,
    ):
        daemon = Affectd(tmp_path, broker, camera={"source": str(clip)}, clip={"loop": True}, **RESTLESS)
        daemon.password_file.write_text("quite-a-wrong-one\n")
        with daemon:
            until(lambda: "refuses user name 'affectd'" in daemon.log)
            daemon.password_file.write_text(broker.password + "\n")
            mended = time.monotonic()
            listener.wait_for(lambda messages: messages)
            recovered_s = time.monotonic() - mended
            events = listener.wait_for(lambda messages: len(messages) >= 3)
        assert [event.json["seq"] for event in events] == list(range(1, len(events) + 1))
        assert "mqtt.password_file" in daemon.log
        assert "quite-a-wrong-one" not in daemon.log
        assert "Traceback" not in daemon.log
        fault_table.record("broker refuses the password", recovered_s=recovered_s, **cost(events))


def test_a_broker_that_comes_later_gets_every_event(tmp_path: Path, fault_table: FaultTable) -> None:
    broker = Mosquitto(tmp_path)
    clip = blinking_person(tmp_path / "blinking.mp4")
    with Affectd(tmp_path, broker, camera={"source": str(clip)}, clip={"loop": True}, **RESTLESS) as daemon:
        until(lambda: "refuses connections; is the broker running" in daemon.log)
        with broker, Listener(broker, f"{ROOT}/event") as listener:
            came = time.monotonic()
            listener.wait_for(lambda messages: messages)
            recovered_s = time.monotonic() - came
            events = listener.wait_for(lambda messages: len(messages) >= 3)
            assert daemon.runs
    assert [event.json["seq"] for event in events] == list(range(1, len(events) + 1))
    assert "Traceback" not in daemon.log
    fault_table.record("broker away at start", recovered_s=recovered_s, **cost(events))


def test_events_of_a_clip_that_nobody_could_take_wait_for_the_next_run(tmp_path: Path, fault_table: FaultTable) -> None:
    broker = Mosquitto(tmp_path)
    clip = blinking_person(tmp_path / "blinking.mp4")
    daemon = Affectd(tmp_path, broker, camera={"source": str(clip)}, clip={"realtime": False}, **RESTLESS)
    daemon.start()
    assert daemon.wait() == 0, daemon.log
    with broker, Listener(broker, f"{ROOT}/event") as listener, daemon:
        assert daemon.wait() == 0, daemon.log
        events = listener.wait_for(lambda messages: len(messages) >= 4)
    assert [event.json["seq"] for event in events] == list(range(1, len(events) + 1))
    fault_table.record("broker away for a whole run", recovered_s=None, remark="sent by the next run", **cost(events))

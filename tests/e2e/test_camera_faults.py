"""A camera on the network dies, freezes, sends rubbish, changes its size or hangs its thread: the rest goes on."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from e2e.completeness import AVAILABILITY, ROOT, assert_complete, stop
from e2e.program import RESTLESS, Affectd
from e2e.test_service import Manager, daemon_of
from support.broker import Listener, Message, Mosquitto
from support.fault_table import FaultTable
from support.media import speak
from support.preloads import build_preload
from support.sound_server import SoundServer
from support.stream_server import StreamServer
from support.waiting import DEADLINE_S, until

Settings = dict[str, Mapping[str, Any]]


@pytest.fixture
def stream() -> Iterator[StreamServer]:
    """Somebody who comes and goes every second before a camera."""
    with StreamServer() as server:
        yield server


def watching(stream: StreamServer, **camera: Any) -> Settings:
    """Settings for this camera alone, with which everyone who comes or goes is an event at once."""
    camera = {"source": stream.url, "timeout_s": 1.0, **camera}
    return {**RESTLESS, "camera": camera, "microphone": {"source": "off"}, "mqtt": {"faces": True}}


class Watch:
    """What a subscriber saw of a running daemon."""

    def __init__(self, listener: Listener, daemon: Affectd) -> None:
        self._listener = listener
        self._daemon = daemon

    @property
    def events(self) -> list[Message]:
        return self._listener.on(f"{ROOT}/event")

    @property
    def health(self) -> Any:
        """The newest; None before the first."""
        told = self._listener.on(f"{ROOT}/health")
        return told[-1].json if told else None

    @property
    def camera(self) -> Any:
        """What the newest health says of it."""
        return self.health["components"]["camera"]

    def wait_for_somebody(self, more: int = 1) -> float:
        """Wait for so many more events in which somebody came; give how long it took."""
        began = time.monotonic()
        seen = len(self.events)
        until(lambda: sum(event.json["emotion"] is not None for event in self.events[seen:]) >= more)
        return time.monotonic() - began

    def wait_for_camera(self, state: str) -> None:
        until(lambda: self.health and self.camera["state"] == state)

    def end(self) -> int:
        """Stop the daemon in order, hold that no event was lost, and give how many came again."""
        assert self._daemon.runs
        assert {message.payload for message in self._listener.on(AVAILABILITY)} == {b"online"}
        stop(self._daemon, self._listener)
        assert "Traceback" not in self._daemon.log
        return assert_complete(self.events, self._daemon.outbox)


def test_a_stream_that_dies_is_waited_for_and_returns(
    broker: Mosquitto, stream: StreamServer, tmp_path: Path, fault_table: FaultTable
) -> None:
    with (
        Listener(broker, f"{ROOT}/#") as listener,
        Affectd(tmp_path, broker, **watching(stream)) as daemon,
    ):
        watch = Watch(listener, daemon)
        watch.wait_for_somebody(2)
        died = datetime.now(timezone.utc)
        stream.die()
        watch.wait_for_camera("waiting")
        assert watch.health["status"] == "degraded"
        since = datetime.fromisoformat(watch.camera["since"].replace("Z", "+00:00"))
        assert abs((since - died).total_seconds()) < 20
        until(lambda: watch.camera["restarts"] >= 3)
        # It stays the moment of the loss, whatever was tried since.
        assert abs(datetime.fromisoformat(watch.camera["since"].replace("Z", "+00:00")) - since).total_seconds() < 0.5
        assert "cannot be opened" in watch.camera["last_error"]
        others = {name: part["state"] for name, part in watch.health["components"].items() if name != "camera"}
        assert set(others.values()) == {"running"}
        until(lambda: watch.events[-1].json["emotion"] is None)
        stream.come_back()
        recovered_s = watch.wait_for_somebody()
        until(lambda: watch.health["status"] == "ok" and watch.camera["state"] == "running")
        assert daemon.log.count("cannot be opened") == 1
        assert "camera runs again" in daemon.log
        fault_table.record("camera stream dies and returns", recovered_s=recovered_s, repeated=watch.end())


def test_a_stream_that_freezes_is_noticed_and_goes_on(
    broker: Mosquitto, stream: StreamServer, tmp_path: Path, fault_table: FaultTable
) -> None:
    with (
        Listener(broker, f"{ROOT}/#") as listener,
        Affectd(tmp_path, broker, **watching(stream)) as daemon,
    ):
        watch = Watch(listener, daemon)
        watch.wait_for_somebody(2)
        stream.frozen = True
        watch.wait_for_camera("waiting")
        until(lambda: "cannot be opened" in watch.camera["last_error"])  # it takes the connection, and says nothing
        assert re.search(r"no picture for \d s", daemon.log)
        told = [message.json for message in listener.on(f"{ROOT}/health")]
        first = next(i for i, health in enumerate(told) if health["components"]["camera"]["state"] == "waiting")
        assert {health["status"] for health in told[first:]} == {"degraded"}  # also while it is being tried
        until(lambda: watch.events[-1].json["emotion"] is None)
        stream.frozen = False
        recovered_s = watch.wait_for_somebody()
        fault_table.record("camera stream freezes, not a byte comes", recovered_s=recovered_s, repeated=watch.end())


def test_a_stream_that_repeats_its_last_picture_shows_nobody(
    broker: Mosquitto, stream: StreamServer, tmp_path: Path, fault_table: FaultTable
) -> None:
    with (
        Listener(broker, f"{ROOT}/#") as listener,
        Affectd(tmp_path, broker, **watching(stream, still_s=2.0)) as daemon,
    ):
        watch = Watch(listener, daemon)
        watch.wait_for_somebody(2)
        stream.still = True
        watch.wait_for_camera("waiting")
        assert "the very same picture" in watch.camera["last_error"]
        until(lambda: watch.events[-1].json["emotion"] is None)
        until(lambda: watch.camera["restarts"] >= 2)
        assert watch.events[-1].json["emotion"] is None  # though somebody stands in that picture
        stream.still = False
        recovered_s = watch.wait_for_somebody()
        fault_table.record(
            "camera stream freezes, one picture again and again",
            recovered_s=recovered_s,
            remark="noticed after camera.still_s (60 s)",
            repeated=watch.end(),
        )


@pytest.mark.parametrize("rubbish", ["pictures", "bytes"])
def test_a_stream_that_sends_rubbish_is_opened_again(
    broker: Mosquitto, stream: StreamServer, tmp_path: Path, fault_table: FaultTable, rubbish: str
) -> None:
    with (
        Listener(broker, f"{ROOT}/#") as listener,
        Affectd(tmp_path, broker, **watching(stream)) as daemon,
    ):
        watch = Watch(listener, daemon)
        watch.wait_for_somebody(2)
        stream.rubbish = rubbish
        watch.wait_for_camera("waiting")
        until(lambda: watch.events[-1].json["emotion"] is None)
        stream.rubbish = ""
        recovered_s = watch.wait_for_somebody()
        assert len(daemon.log.splitlines()) < 15  # one line of it, not one a picture
        fault_table.record(f"camera stream sends rubbish ({rubbish})", recovered_s=recovered_s, repeated=watch.end())


def test_a_stream_that_changes_its_size_is_followed(
    broker: Mosquitto, stream: StreamServer, tmp_path: Path, fault_table: FaultTable
) -> None:
    def in_the_middle(after: int) -> Callable[[], bool]:
        def condition() -> bool:
            shown = [face for told in listener.on(f"{ROOT}/faces")[after:] for face in told.json["faces"]]
            boxes = [face["box"] for face in shown]
            return any(abs(x + w / 2 - 0.5) < 0.06 and abs(y + h / 2 - 0.46) < 0.1 for x, y, w, h in boxes)

        return condition

    with (
        Listener(broker, f"{ROOT}/#") as listener,
        Affectd(tmp_path, broker, **watching(stream, timeout_s=20.0)) as daemon,
    ):
        watch = Watch(listener, daemon)
        watch.wait_for_somebody(2)
        took = []
        for size in ((640, 480), (240, 180), (320, 240)):
            stream.size = size
            began, sent = time.monotonic(), stream.sent
            until(lambda sent=sent: stream.sent > sent + 3)  # what was on its way in the old size
            until(in_the_middle(len(listener.on(f"{ROOT}/faces"))))
            took.append(time.monotonic() - began)
            watch.wait_for_somebody()
        assert watch.camera["restarts"] == 0
        fault_table.record("camera stream changes its size", recovered_s=max(took), repeated=watch.end())


def test_without_the_camera_the_voice_goes_on(
    broker: Mosquitto, stream: StreamServer, sound_server: SoundServer, tmp_path: Path, fault_table: FaultTable
) -> None:
    settings = {
        **watching(stream),
        "fusion": {"enter": 0.2, "leave": 0.1, "dwell_s": 0.0, "half_life_s": 0.05, "absent_s": 0.6},
        "voice": {"hop_s": 0.25},
        "microphone": {"source": "default"},
        "mqtt": {"heartbeat_s": 1.0},
    }
    speech = speak(tmp_path / "speech.wav", "What a wonderful surprise to see all of you here today, do come in. " * 4)

    def state() -> Any:
        return listener.on(f"{ROOT}/state")[-1].json

    with Listener(broker, f"{ROOT}/#") as listener, Affectd(tmp_path, broker, **settings) as daemon:
        watch = Watch(listener, daemon)
        watch.wait_for_somebody()
        until(lambda: watch.health and watch.health["components"]["microphone"]["state"] == "running")
        stream.die()
        watch.wait_for_camera("waiting")
        until(lambda: state()["face"] is None or not state()["face"]["present"])
        sound_server.play(speech)
        before = len(listener.on(f"{ROOT}/state"))
        until(
            lambda: any(
                told.json["voice"]["active"] and told.json["emotion"] and told.json["agreement"] == "single"
                for told in listener.on(f"{ROOT}/state")[before:]
            )
        )
        health = watch.health
        assert health["status"] == "degraded"
        assert {name for name, part in health["components"].items() if part["state"] != "running"} == {"camera"}
        stream.come_back()
        began = time.monotonic()
        until(lambda: state()["face"] is not None and state()["face"]["present"])
        recovered_s = time.monotonic() - began
        fault_table.record(
            "camera lost, voice goes on",
            recovered_s=recovered_s,
            remark="voice alone meanwhile",
            repeated=watch.end(),
        )


def test_a_thread_that_never_comes_back_is_replaced(
    broker: Mosquitto, stream: StreamServer, tmp_path: Path, fault_table: FaultTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name server that never answers: no timeout of the camera's covers it."""
    silent = tmp_path / "name-server-is-silent"
    monkeypatch.setenv("LD_PRELOAD", build_preload("name_server", tmp_path))
    monkeypatch.setenv("NAME_SERVER_SILENT", str(silent))
    settings = watching(stream, source=f"http://camera.test:{stream.port}/stream.mjpg", timeout_s=0.5)
    settings["mqtt"] = {"heartbeat_s": 1.0}
    with Listener(broker, f"{ROOT}/#") as listener, Affectd(tmp_path, broker, **settings) as daemon:
        watch = Watch(listener, daemon)
        watch.wait_for_somebody(2)
        silent.touch()
        stream.die()
        stream.come_back()
        until(lambda: "no sign of life for 6 s" in str(watch.camera["last_error"]))
        assert watch.health["status"] == "degraded"
        states = len(listener.on(f"{ROOT}/state"))
        until(lambda: len(listener.on(f"{ROOT}/state")) >= states + 2)  # the others go on
        others = {name: part["restarts"] for name, part in watch.health["components"].items() if name != "camera"}
        assert set(others.values()) == {0}
        silent.unlink()
        recovered_s = watch.wait_for_somebody()
        fault_table.record("camera's name server never answers", recovered_s=recovered_s, repeated=watch.end())


def test_a_frozen_camera_that_may_take_its_time_does_not_cost_the_signs_of_life(
    broker: Mosquitto, stream: StreamServer, tmp_path: Path
) -> None:
    manager = Manager(tmp_path / "notify")
    daemon = Affectd(tmp_path, broker, **watching(stream, timeout_s=60.0))
    with closing(manager), daemon_of(manager, daemon) as process:
        until(lambda: "all parts running" in manager.sentence)
        stream.frozen = True
        before = manager.pings
        until(lambda: manager.pings >= before + 3)
        process.terminate()
        assert process.wait(DEADLINE_S) == 0

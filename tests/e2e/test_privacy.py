"""The privacy switch over MQTT: camera and microphone are closed, say so, stay so over a restart, and come back."""

from __future__ import annotations

import subprocess
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from e2e.program import DEVICE, RESTLESS, Affectd
from support.broker import Listener, Message, Mosquitto
from support.media import write_clip
from support.scenes import scene
from support.sound_server import SoundServer
from support.speech import RATE, speech
from support.stream_server import StreamServer
from support.waiting import until

ROOT = f"affectd/{DEVICE}"
READINGS = (f"{ROOT}/faces", f"{ROOT}/voice")
DEVICES = ("camera", "microphone")


@pytest.fixture
def talking_person(tmp_path: Path) -> Path:
    """A clip of somebody who stands before the camera and speaks."""
    sound = speech(tmp_path, "Good morning, here I am again.").astype("int16")
    frames = [scene((320, 220, 170))] * (10 * sound.size // RATE)
    return write_clip(tmp_path / "talking.mp4", frames=frames, fps=10, sound=sound, sample_rate=RATE)


def told(messages: list[Message], privacy: bool, states: set[str]) -> bool:
    """Whether the newest health says that the switch is so and both devices are in one of these states."""
    healths = [message.json for message in messages if message.topic == f"{ROOT}/health"]
    if not healths or healths[-1]["privacy"] is not privacy:
        return False
    return all(healths[-1]["components"][name]["state"] in states for name in DEVICES)


def readings_of(messages: list[Message]) -> set[str]:
    return {message.topic for message in messages if message.topic in READINGS}


def tracks_of(messages: list[Message]) -> set[int]:
    """Return the numbers of all faces in the readings."""
    return {face["track"] for message in messages if message.topic == f"{ROOT}/faces" for face in message.json["faces"]}


def time_of(document: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(document["time"].replace("Z", "+00:00"))


def captured_at(reading: dict[str, Any]) -> datetime:
    """Return when what a reading says was seen or heard."""
    return time_of(reading) - timedelta(milliseconds=reading["latency_ms"])


def emotion(messages: list[Message]) -> str | None:
    """Return what the newest state says."""
    states = [message.json["emotion"] for message in messages if message.topic == f"{ROOT}/state"]
    return states[-1] if states else None


def test_privacy_closes_camera_and_microphone_until_it_is_lifted(
    broker: Mosquitto, talking_person: Path, tmp_path: Path
) -> None:
    with (
        Listener(broker, f"{ROOT}/#") as listener,
        Affectd(
            tmp_path,
            broker,
            camera={"source": str(talking_person)},
            clip={"loop": True},
            mqtt={"faces": True, "voice": True},
            **RESTLESS,
        ) as daemon,
    ):
        listener.wait_for(lambda messages: readings_of(messages) == set(READINGS))
        listener.wait_for(lambda messages: told(messages, False, {"running"}))

        listener.publish(f"{ROOT}/command/privacy", "on")
        listener.wait_for(lambda messages: told(messages, True, {"off"}))
        listener.wait_for(lambda _: listener.on(f"{ROOT}/privacy")[-1].payload == b"on")
        listener.wait_for(lambda messages: emotion(messages) is None)
        closed = next(health.json for health in listener.on(f"{ROOT}/health") if health.json["privacy"])
        time.sleep(2.0)
        seen = tracks_of(listener.messages)
        # What was captured before may arrive after.
        readings = [message for message in listener.messages if message.topic in READINGS]
        assert [message.topic for message in readings if message.json["captured_at"] > closed["time"]] == []

        listener.publish(f"{ROOT}/command/privacy", "off")
        opened = len(listener.messages)
        listener.wait_for(lambda messages: readings_of(messages[opened:]) == set(READINGS))
        listener.wait_for(lambda messages: told(messages, False, {"running"}))
        listener.wait_for(lambda _: listener.on(f"{ROOT}/privacy")[-1].payload == b"off")
        listener.wait_for(lambda messages: tracks_of(messages[opened:]))
        assert not tracks_of(listener.messages[opened:]) & seen
        listener.wait_for(lambda messages: emotion(messages) is not None)
        assert daemon.runs
    assert "Traceback" not in daemon.log


def recorders() -> int:
    """Count the programs that record, as the sound server sees it; a module of its own that does is none."""
    listed = subprocess.run(
        ["pactl", "list", "short", "source-outputs"], capture_output=True, text=True, check=True, timeout=10
    )
    return listed.stdout.count("protocol-native.c")


def test_privacy_lets_go_of_the_real_microphone(sound_server: SoundServer, broker: Mosquitto, tmp_path: Path) -> None:
    without_camera = {"camera": {"source": "off"}, "inference": {"face": "off"}, "microphone": {"source": "default"}}
    with Listener(broker, f"{ROOT}/privacy") as listener, Affectd(tmp_path, broker, **without_camera) as daemon:
        until(lambda: recorders() == 1)
        listener.publish(f"{ROOT}/command/privacy", "on")
        until(lambda: recorders() == 0)
        time.sleep(1.0)
        assert recorders() == 0
        listener.publish(f"{ROOT}/command/privacy", "off")
        until(lambda: recorders() == 1)
        listener.wait_for(lambda messages: [message.payload for message in messages] == [b"off", b"on", b"off"])
        assert daemon.runs


def test_privacy_from_the_start_opens_nothing(broker: Mosquitto, talking_person: Path, tmp_path: Path) -> None:
    with (
        Listener(broker, f"{ROOT}/#") as listener,
        Affectd(
            tmp_path,
            broker,
            camera={"source": str(talking_person)},
            clip={"loop": True},
            mqtt={"faces": True, "voice": True},
            privacy={"start_on": True},
        ) as daemon,
    ):
        listener.wait_for(lambda messages: told(messages, True, {"off"}))
        time.sleep(1.0)
        assert readings_of(listener.messages) == set()
        listener.publish(f"{ROOT}/command/privacy", "off")
        listener.wait_for(lambda messages: readings_of(messages) == set(READINGS))
        assert [message.payload for message in listener.on(f"{ROOT}/privacy")] == [b"on", b"off"]
        assert daemon.runs


def test_privacy_outlasts_a_kill(sound_server: SoundServer, broker: Mosquitto, tmp_path: Path) -> None:
    with StreamServer() as camera, Listener(broker, f"{ROOT}/#") as listener:
        settings = {"camera": {"source": camera.url}, "microphone": {"source": "default"}}
        with Affectd(tmp_path, broker, **settings) as daemon:
            listener.wait_for(lambda messages: told(messages, False, {"running"}))
            listener.publish(f"{ROOT}/command/privacy", "on")
            listener.wait_for(lambda messages: told(messages, True, {"off"}))
            daemon.kill()
            until(lambda: not camera.watched)
            before, sent = len(listener.messages), camera.sent
            daemon.start()
            listener.wait_for(lambda messages: told(messages[before:], True, {"off"}))
            time.sleep(2.0)
            assert (recorders(), camera.sent) == (0, sent)
            assert [message.payload for message in listener.on(f"{ROOT}/privacy")] == [b"off", b"on", b"on"]

            listener.publish(f"{ROOT}/command/privacy", "off")
            until(lambda: recorders() == 1 and camera.sent > sent)
            listener.wait_for(lambda messages: told(messages, False, {"running"}))
            daemon.kill()
            before = len(listener.messages)
            daemon.start()
            listener.wait_for(lambda messages: told(messages[before:], False, {"running"}))
            listener.wait_for(lambda _: [m.payload for m in listener.on(f"{ROOT}/privacy")][3:] == [b"off", b"off"])
        assert "Traceback" not in daemon.log


def test_privacy_is_not_claimed_while_a_camera_does_not_close(broker: Mosquitto, tmp_path: Path) -> None:
    def notice(messages: list[Message]) -> str:
        return str([message.json["privacy_notice"] for message in messages if message.topic == f"{ROOT}/health"][-1:])

    with StreamServer() as camera, Listener(broker, f"{ROOT}/#") as listener:
        settings = {"camera": {"source": camera.url, "timeout_s": 60.0}, "microphone": {"source": "off"}}
        with Affectd(tmp_path, broker, **settings):
            until(lambda: camera.sent > 10)
            camera.frozen = True
            listener.publish(f"{ROOT}/command/privacy", "on")
            messages = listener.wait_for(lambda messages: "camera could not be closed yet" in notice(messages))
            assert [message.json["privacy"] for message in messages if message.topic == f"{ROOT}/health"][-1] is False
            assert {message.payload for message in listener.on(f"{ROOT}/privacy")} == {b"off"}
            camera.die()
            listener.wait_for(lambda _: listener.on(f"{ROOT}/privacy")[-1].payload == b"on")
            listener.wait_for(lambda messages: notice(messages) == "[None]")

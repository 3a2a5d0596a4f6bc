"""Speech in the air becomes a voice reading at an MQTT client: PyAudio captures it from a real sound server."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.program import DEVICE, Affectd
from support.broker import Listener, Message, Mosquitto
from support.media import speak
from support.sound_server import SoundServer

VOICE = f"affectd/{DEVICE}/voice"
HEALTH = f"affectd/{DEVICE}/health"
WORDS = "What a wonderful surprise to see all of you here today, please do come in and take a seat by the window. "


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """About twelve seconds of it."""
    return speak(tmp_path / "speech.wav", WORDS * 2)


def heard(messages: list[Message], after: int = 0) -> list[Message]:
    """Give the readings, past the first `after` messages, in which somebody speaks."""
    return [message for message in messages[after:] if message.topic == VOICE and message.json["active"]]


def microphone_state(messages: list[Message], after: int = 0) -> str | None:
    """Give the newest state of the microphone that health told past the first `after` messages."""
    told = [message.json for message in messages[after:] if message.topic == HEALTH]
    return told[-1]["components"]["microphone"]["state"] if told else None


def test_speech_becomes_readings_before_and_after_the_sound_server_died(
    sound_server: SoundServer, broker: Mosquitto, speech: Path, tmp_path: Path
) -> None:
    with (
        Listener(broker, VOICE, HEALTH) as listener,
        Affectd(
            tmp_path,
            broker,
            camera={"source": "off"},
            microphone={"source": "default", "timeout_s": 2.0},
            inference={"face": "off"},
            mqtt={"voice": True},
        ) as daemon,
    ):
        silence = listener.wait_for(lambda messages: any(message.topic == VOICE for message in messages), 30)
        assert not heard(silence)
        sound_server.play(speech)
        reading = heard(listener.wait_for(heard))[0].json
        assert sum(reading["probabilities"].values()) == pytest.approx(1, abs=0.01)
        assert 0 < reading["quality"] <= 1

        dead = len(listener.messages)
        sound_server.kill()
        listener.wait_for(lambda messages: microphone_state(messages, dead) == "waiting", 30)
        again = len(listener.messages)
        sound_server.restart()
        listener.wait_for(lambda messages: any(m.topic == VOICE for m in messages[again:]), 40)
        assert (
            microphone_state(listener.wait_for(lambda messages: microphone_state(messages) == "running")) == "running"
        )
        sound_server.play(speech)
        assert heard(listener.wait_for(lambda messages: heard(messages, again)), again)[0].json["probabilities"]
        assert daemon.runs
    assert "Traceback" not in daemon.log

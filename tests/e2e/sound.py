"""What tests of the microphone say and ask: speech to play, readings in which it is heard, what health tells of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from e2e.program import DEVICE, RESTLESS
from support.broker import Listener, Message
from support.media import speak

ROOT = f"affectd/{DEVICE}"
VOICE = f"{ROOT}/voice"
HEALTH = f"{ROOT}/health"
EVENT = f"{ROOT}/event"
STATE = f"{ROOT}/state"
WORDS = "What a wonderful surprise to see all of you here today, please do come in and take a seat by the window. "
LISTENING: dict[str, Any] = {
    **RESTLESS,
    "fusion": {**RESTLESS["fusion"], "strategy": "adaptive", "absent_s": 0.6},  # longer than from reading to reading
    "microphone": {"source": "default", "timeout_s": 2.0},
    "mqtt": {"voice": True},
}
"""Settings with which everyone who comes or goes is an event at once, and what is heard counts too."""


def speech(folder: Path, times: int = 2) -> Path:
    """About six seconds of it, so many times."""
    return speak(folder / "speech.wav", WORDS * times)


def readings(messages: list[Message], after: int = 0) -> list[Message]:
    """Return the voice readings past the first `after` messages."""
    return [message for message in messages[after:] if message.topic == VOICE]


def heard(messages: list[Message], after: int = 0) -> list[Message]:
    """Return those in which somebody speaks."""
    return [message for message in readings(messages, after) if message.json["active"]]


def events(messages: list[Message], after: int = 0) -> list[Message]:
    """Return the events past the first `after` messages."""
    return [message for message in messages[after:] if message.topic == EVENT]


def health(messages: list[Message], after: int = 0) -> dict[str, Any]:
    """Return the newest health past the first `after` messages; empty while there is none."""
    told: list[dict[str, Any]] = [message.json for message in messages[after:] if message.topic == HEALTH]
    return told[-1] if told else {}


def microphone(messages: list[Message], after: int = 0) -> dict[str, Any]:
    """Return what the newest health says of the microphone: state, since, restarts, last_error."""
    part: dict[str, Any] = health(messages, after).get("components", {}).get("microphone", {})
    return part


def wait_until_it_is(state: str, listener: Listener, after: int = 0) -> dict[str, Any]:
    """Wait until health tells this state of the microphone, and give what it says of it."""
    return microphone(listener.wait_for(lambda messages: microphone(messages, after).get("state") == state), after)

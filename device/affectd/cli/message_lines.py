"""Turns messages from the broker into lines that a person reads at a glance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from affectd.cli import summaries
from affectd.cli.terminal import plain

if TYPE_CHECKING:
    from affectd.publish.connection_events import ReceivedMessage

BAR = 8
COLOURS = {
    "angry": "31",
    "disgust": "32",
    "fear": "35",
    "happy": "33",
    "sad": "34",
    "surprise": "36",
    "neutral": "37",
    None: "90",
}
GREY, RED = "90", "31"


class MessageFormatter:
    """Writes a message's line; remembers each device's state so that heartbeats stay silent."""

    def __init__(self, *, colours: bool) -> None:
        """Colour with ANSI codes, for a terminal, or not at all."""
        self._colours = colours
        self._shown: dict[str, tuple[Any, ...]] = {}
        self._people: dict[str, str] = {}

    def line(self, message: ReceivedMessage) -> str | None:
        """Return the message's line; None when nothing in it has changed."""
        *_, device, topic = message.topic.rsplit("/", 2)
        start = f"{datetime.now().strftime('%H:%M:%S')}  {plain(device):<12.24}"
        try:
            text = self._text(device, topic, message)
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
            foreign = f"not affectd's: {len(message.payload)} bytes on {plain(message.topic)}"
            return f"{start}  {self._in(RED, foreign)}"
        return None if text is None else f"{start}  {text}"

    def _text(self, device: str, topic: str, message: ReceivedMessage) -> str | None:
        if topic == "availability":
            return self._availability(message)
        if topic == "privacy":
            return self._in(GREY, summaries.privacy(message.payload.decode("utf-8")))
        return self._document(device, topic, message)

    def _availability(self, message: ReceivedMessage) -> str:
        text = message.payload.decode("utf-8")
        if text not in ("online", "offline"):
            raise ValueError(text)
        return self._in(GREY, text)

    def _document(self, device: str, topic: str, message: ReceivedMessage) -> str | None:
        document = json.loads(message.payload)
        if topic == "event":
            self._shown[device] = _shown_part(document)
            return self._emotion(document) + f"  {document['latency_ms']:.0f} ms  #{document['seq']:d}"
        if topic == "state":
            shown_part = _shown_part(document)
            shown = self._shown.get(device, shown_part[:1])
            if shown == shown_part or shown[0] != shown_part[0]:  # a change of emotion comes as an event of its own
                return None
            self._shown[device] = shown_part
            return self._emotion(document) + self._in(GREY, "  (state)")
        if topic == "people":
            return self._changed_people(device, document)
        return self._in(GREY, plain(SUMMARIES[topic](document)))

    def _changed_people(self, device: str, document: Mapping[str, Any]) -> str | None:
        """Return who is in view when that has changed; of one person alone the state shows it all."""
        text = summaries.people(document)
        before = self._people.get(device)
        alone = document["count"] < 2
        self._people[device] = "" if alone else text
        return None if text == before or (alone and not before) else self._in(GREY, plain(text))

    def _emotion(self, document: Mapping[str, Any]) -> str:
        emotion, confidence = document["emotion"], float(document["confidence"])
        filled = round(BAR * min(1.0, max(0.0, confidence)))
        bar = self._in(COLOURS[emotion], "█" * filled) + "░" * (BAR - filled)
        name = self._in(COLOURS[emotion], f"{plain(emotion or _reason(document)):<8}")
        evidence = f"{_face(document['face']):<24} {_voice(document['voice']):<22}"
        return f"{name} {bar} {confidence:4.0%}  {plain(document['agreement']):<8} {evidence}".rstrip()

    def _in(self, colour: str, text: str) -> str:
        return f"\033[{colour}m{text}\033[0m" if self._colours else text


def _shown_part(document: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what has to differ for a state to be worth a line."""
    return document["emotion"], _reason(document), document["face"]["present"], document["voice"]["active"]


def _reason(document: Mapping[str, Any]) -> str:
    """Return why no emotion is named; events stored before there was a reason have none."""
    somebody = document["face"]["present"] or document["voice"]["active"]
    return str(document.get("reason", "unsure" if somebody else "nobody")).replace("_", " ")


def _face(face: Mapping[str, Any]) -> str:
    if not face["present"]:
        return "face -"
    return f"face {_best(face['probabilities'])} q{float(face['quality']):.2f}"


def _voice(voice: Mapping[str, Any]) -> str:
    if not voice["active"] or not voice["probabilities"]:
        return "voice -"
    snr = voice["snr_db"]
    return f"voice {_best(voice['probabilities'])}" + ("" if snr is None else f" {float(snr):.0f} dB")


def _best(probabilities: Mapping[str, float]) -> str:
    label = max(probabilities, key=lambda name: probabilities[name])
    return f"{plain(label)} {probabilities[label]:.0%}"


def _health(document: Mapping[str, Any]) -> str:
    parts = [f"health {document['status']}"]
    parts += [f"{name} {part['state']}" for name, part in document["components"].items() if part["state"] != "running"]
    parts.append(f"{document['frames_per_s']:.1f} frames/s")
    parts += [f"{name} {latency['p95_ms']:.0f} ms" for name, latency in document["latency"].items()]
    parts.append(f"{document['outbox_waiting']} events waiting")
    if document["temperature_c"] is not None:
        parts.append(f"{document['temperature_c']:.0f} °C")
    return plain(", ".join(parts))


SUMMARIES = {"health": _health, "info": summaries.info, "faces": summaries.faces, "voice": summaries.voice}
"""Of the messages that are shown in full each time."""

"""The JSON documents: event, state, people, faces and voice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from affectd.events import (
    LABELS,
    VOICE_LABELS,
    EmotionState,
    FaceReading,
    Person,
    Probabilities,
    VoiceReading,
    label_map,
)

SCHEMA = 1
NO_FACE: dict[str, Any] = {"track": None, "quality": None, "box": None, "probabilities": None}
NO_VOICE = VoiceReading(0.0, active=False, snr_db=None, quality=0.0, probabilities=None)
"""Messages keep one shape whether there is a face, a voice, or none."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The publishing device and run: the same in every message of one run of the daemon."""

    device: str
    boot: str
    """Id of the system's boot: while `clock_synced` is false, times compare only within one boot."""
    run: str
    """Id of this run of the daemon, 8 hexadecimal digits: numbers of tracks and people count from 1 in each."""
    models: dict[str, str] = field(default_factory=dict)
    """Modality to 'name version variant' of the models in use."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """The times of one message."""

    time: str
    """RFC 3339 UTC with milliseconds."""
    captured_at: str
    """When the newest evidence was captured, on the clock of `time`."""
    clock_synced: bool
    latency_ms: float
    """From the capture of the newest evidence to this stamp."""


@dataclass(frozen=True, slots=True)
class EmotionEvent:
    """One change of state: published once or more, never lost, told apart by `id`."""

    id: str
    seq: int
    """Rises by one per event and survives restarts."""
    origin: Origin
    stamp: Stamp
    state: EmotionState

    def to_json(self) -> dict[str, Any]:
        """Return the event document; its `held_s` is how long `previous` had lasted."""
        return {
            **head_json(self.origin, self.stamp),
            "id": self.id,
            "seq": self.seq,
            **_common_json(self.state, self.origin, self.stamp),
            "held_s": round(self.state.previous_held_s, 3),
            "strategy": self.state.strategy,
            "models": dict(self.origin.models),
        }


def head_json(origin: Origin, stamp: Stamp) -> dict[str, Any]:
    """Return the fields that every message begins with: device, boot, run and times."""
    return {
        "schema": SCHEMA,
        "device": origin.device,
        "boot": origin.boot,
        "run": origin.run,
        "time": stamp.time,
        "captured_at": stamp.captured_at,
        "clock_synced": stamp.clock_synced,
    }


def state_json(state: EmotionState, origin: Origin, stamp: Stamp, *, now: float) -> dict[str, Any]:
    """Return the state document; its `held_s` is how long `emotion` has lasted at `now`."""
    return {
        **head_json(origin, stamp),
        **_common_json(state, origin, stamp),
        "held_s": round(max(0.0, now - state.since), 3),
    }


def people_json(people: Sequence[Person], origin: Origin, stamp: Stamp, *, now: float) -> dict[str, Any]:
    """Return the people document: who is in view, the person in front first."""
    return {
        **head_json(origin, stamp),
        "count": len(people),
        "people": [
            {
                "person": person_id(origin, person.number),
                "track": person.face.track,
                "box": person.face.box.to_json(),
                "roll_deg": round(person.face.roll_deg, 1),
                "quality": round(person.face.quality, 3),
                "emotion": person.emotion,
                "confidence": round(person.confidence, 4),
                "held_s": round(max(0.0, now - person.since), 3),
            }
            for person in people
        ],
    }


def faces_json(reading: FaceReading, origin: Origin, stamp: Stamp) -> dict[str, Any]:
    """Return the faces document: every face of one frame, not smoothed."""
    width, height = reading.picture
    return {
        **head_json(origin, stamp),
        "latency_ms": round(stamp.latency_ms, 1),
        "picture": {"width": width, "height": height},
        "faces": [
            {**face.to_json(), "roll_deg": round(face.roll_deg, 1), **_leading(face.probabilities, LABELS)}
            for face in reading.faces
        ],
    }


def voice_json(reading: VoiceReading, origin: Origin, stamp: Stamp) -> dict[str, Any]:
    """Return the voice document: the reading of one window, not smoothed."""
    leading = _leading(reading.probabilities, VOICE_LABELS)
    return {**head_json(origin, stamp), "latency_ms": round(stamp.latency_ms, 1), **reading.to_json(), **leading}


def person_id(origin: Origin, number: int | None) -> str | None:
    """Return an id that no other person has, in this run or another; None for nobody."""
    return None if number is None else f"{origin.run}-{number}"


def _common_json(state: EmotionState, origin: Origin, stamp: Stamp) -> dict[str, Any]:
    return {
        "reason": state.reason,
        "emotion": state.emotion,
        "confidence": round(state.confidence, 4),
        "probabilities": label_map(state.probabilities, LABELS),
        "previous": state.previous,
        "person": person_id(origin, state.person),
        "face": {"present": state.face is not None, **(NO_FACE if state.face is None else state.face.to_json())},
        "voice": (NO_VOICE if state.voice is None else state.voice).to_json(),
        "agreement": state.agreement,
        "latency_ms": round(stamp.latency_ms, 1),
    }


def _leading(probabilities: Probabilities | None, labels: Sequence[str]) -> dict[str, Any]:
    """Return the likeliest label and its probability."""
    if probabilities is None:
        return {"emotion": None, "confidence": 0.0}
    best = max(range(len(labels)), key=lambda i: probabilities[i])
    return {"emotion": labels[best], "confidence": round(probabilities[best], 4)}

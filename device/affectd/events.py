"""The vocabulary every room speaks: labels, frames, sound, readings, state and event, and their JSON.

Times called `captured_at` are seconds on the monotonic clock (a clip played faster than real time
uses its own media clock, offset to the monotonic clock at its start). Probabilities stand in the order
of `LABELS`, or of `VOICE_LABELS` for a voice reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

SCHEMA = 1
LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
VOICE_LABELS = (*LABELS, "calm")
"""`calm` exists in RAVDESS alone; it is kept in voice readings and folded into `neutral` when fused."""

Probabilities = tuple[float, ...]
Agreement = Literal["agree", "disagree", "single", "none"]
"""Whether face and voice name the same emotion; `single`: one of them spoke, or names
what the other's model does not know; `none`: neither spoke."""
Strategy = Literal["weighted_average", "hybrid", "adaptive", "face", "voice"]
Reason = Literal[
    "shown", "unsure", "disagree", "nobody", "privacy", "no_camera", "no_microphone", "starting", "offline"
]
"""Why a state names an emotion (`shown`), or why it names none."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture from a camera, in memory only."""

    image: NDArray[np.uint8]
    """(height, width, 3) BGR, or (height, width) grey."""
    captured_at: float
    number: int
    """Counts the frames the camera delivered since it was opened, dropped ones included."""


@dataclass(frozen=True, slots=True, eq=False)
class AudioChunk:
    """A run of mono samples from a microphone, in memory only."""

    samples: NDArray[np.int16]
    """(n,) mono, 16 bit."""
    sample_rate: int
    captured_at: float
    """When the last sample was captured."""
    lost: int = 0
    """Samples known to be missing right before this chunk; a gap resets the voice window."""


@dataclass(frozen=True, slots=True)
class Box:
    """A face's place as fractions of the picture, 0..1, origin at the top left."""

    x: float
    y: float
    width: float
    height: float

    def to_json(self) -> list[float]:
        """Return `[x, y, width, height]` with four decimals."""
        return [round(v, 4) for v in (self.x, self.y, self.width, self.height)]


@dataclass(frozen=True, slots=True)
class Mouth:
    """What is seen of a mouth since the frame before; never published."""

    motion: float
    """Mean change of its picture less that of the face's upper part, in deviations of that part's grey levels."""
    darkness: float
    """How much darker it is than the upper part, in the same: an open mouth is dark."""


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """One face in one frame."""

    track: int
    """Anonymous number, counting up; the same while the face stays in view; no identity."""
    box: Box
    quality: float
    """0..1, how well it is seen; a reading of little is flattened when fused."""
    probabilities: Probabilities
    """Calibrated, 7 values in the order of LABELS."""
    roll_deg: float = 0.0
    """The head's tilt in the picture, degrees, clockwise positive; 0 where it is not known."""
    mouth: Mouth | None = None
    """None where it is too small, or was looked at a moment ago, or nobody else is in view."""

    def to_json(self) -> dict[str, Any]:
        """Return the face's part of an event or of the faces topic."""
        return {
            "track": self.track,
            "quality": round(self.quality, 3),
            "box": self.box.to_json(),
            "probabilities": label_map(self.probabilities, LABELS),
        }


@dataclass(frozen=True, slots=True)
class FaceReading:
    """What the face path saw in one frame."""

    captured_at: float
    faces: tuple[TrackedFace, ...] = ()
    """The person in front first: the primary face is the one that is fused."""
    picture: tuple[int, int] = (0, 0)
    """Width and height of the picture, pixels."""

    @property
    def primary(self) -> TrackedFace | None:
        """The face of the person in front, or None."""
        return self.faces[0] if self.faces else None


@dataclass(frozen=True, slots=True)
class VoiceReading:
    """What the voice path heard in the window that ends at `captured_at`."""

    captured_at: float
    active: bool
    """Whether somebody speaks in the window."""
    snr_db: float | None
    """Speech over background in dB, when both were heard."""
    quality: float
    """0..1, how well it is heard; a reading of little is flattened when fused."""
    probabilities: Probabilities | None
    """Calibrated, 8 values in the order of VOICE_LABELS; None while nobody speaks."""
    loudness: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """(n,) dB over the background, every 10 ms since the reading before, the last 30 ms before `captured_at`; never
    published."""

    def to_json(self) -> dict[str, Any]:
        """Return the voice's part of an event or of the voice topic."""
        return {
            "active": self.active,
            "snr_db": None if self.snr_db is None else round(self.snr_db, 1),
            "quality": round(self.quality, 3),
            "probabilities": None if self.probabilities is None else label_map(self.probabilities, VOICE_LABELS),
        }


@dataclass(frozen=True, slots=True)
class Person:
    """One person in view, and what their face shows, smoothed."""

    number: int
    """Counts up in one run of the daemon; the same while the face stays in view or is back within two seconds."""
    face: TrackedFace
    """As last seen."""
    emotion: str | None
    """One of LABELS; None while nothing leads clearly."""
    confidence: float
    """Probability of `emotion`; 0 when it is None."""
    since: float
    """When `emotion` began, on the clock of captured_at."""


@dataclass(frozen=True, slots=True)
class EmotionState:
    """What a person shows now, fused and smoothed: the one in front, unless `person` is another."""

    captured_at: float
    """Capture time of the newest evidence in it; without any, the moment of which it speaks."""
    emotion: str | None
    """One of LABELS; None when nobody is there or the strategy will not say."""
    confidence: float
    """Probability of `emotion`; 0 when it is None."""
    probabilities: Probabilities
    """7 values in the order of LABELS; uniform when there is no evidence."""
    previous: str | None
    """The emotion before this one."""
    since: float
    """When `emotion` began, on the clock of captured_at."""
    previous_held_s: float
    """How long `previous` had lasted, seconds."""
    agreement: Agreement
    strategy: Strategy
    reason: Reason
    face: TrackedFace | None = None
    """The face in the evidence; None when the face is absent or too old."""
    voice: VoiceReading | None = None
    """The voice in the evidence; None when there is no voice path or its reading is too old."""
    person: int | None = None
    """Number of the person; None when nobody is seen."""


def no_state(reason: Reason, strategy: Strategy, now: float) -> EmotionState:
    """Return the state of a box that sees and hears nothing: before it has begun, or after its end."""
    return EmotionState(now, None, 0.0, (1 / len(LABELS),) * len(LABELS), None, now, 0.0, "none", strategy, reason)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who publishes: the same in every message of one run of the daemon."""

    device: str
    boot: str
    """Id of the system's boot: while `clock_synced` is false, times compare only within one boot."""
    run: str
    """Id of this run of the daemon, 8 hexadecimal digits: numbers of tracks and people count from 1 in each."""
    models: dict[str, str] = field(default_factory=dict)
    """Modality to 'name version variant' of the models in use."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """When and as which one a message is published."""

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
    """Return what every message begins with: who says it, in which run, and when."""
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
    """Return the voice document: what was heard in one window, not smoothed."""
    leading = _leading(reading.probabilities, VOICE_LABELS)
    return {**head_json(origin, stamp), "latency_ms": round(stamp.latency_ms, 1), **reading.to_json(), **leading}


def person_id(origin: Origin, number: int | None) -> str | None:
    """Return an id that no other person has, in this run or another; None for nobody."""
    return None if number is None else f"{origin.run}-{number}"


def label_map(probabilities: Sequence[float], labels: Sequence[str]) -> dict[str, float]:
    """Name each probability, four decimals."""
    return {label: round(float(p), 4) for label, p in zip(labels, probabilities, strict=True)}


def fold_calm(probabilities: Sequence[float]) -> Probabilities:
    """Fold the eighth voice label `calm` into `neutral`: 8 (or already 7) values to 7."""
    if len(probabilities) == len(LABELS):
        return tuple(probabilities)
    *shared, calm = probabilities
    return (*shared[:-1], shared[-1] + calm)


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


NO_FACE: dict[str, Any] = {"track": None, "quality": None, "box": None, "probabilities": None}
NO_VOICE = VoiceReading(0.0, active=False, snr_db=None, quality=0.0, probabilities=None)
"""Messages keep one shape whether there is a face, a voice, or none."""

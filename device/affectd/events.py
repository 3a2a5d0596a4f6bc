"""The vocabulary every room speaks: labels, frames, sound, readings and states.

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

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
VOICE_LABELS = (*LABELS, "calm")
"""`calm` exists in RAVDESS alone; it is kept in voice readings and folded into `neutral` when fused."""

Probabilities = tuple[float, ...]
UNREAD: Probabilities = (1 / len(LABELS),) * len(LABELS)
VOICE_UNREAD: Probabilities = (1 / len(VOICE_LABELS),) * len(VOICE_LABELS)
"""Of a face or a voice that is there and of which nothing was read; its quality is 0."""
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
    """The result of the face path for one frame."""

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
    """The result of the voice path for the window that ends at `captured_at`."""

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
    """One of LABELS; None when nobody is there or the strategy withholds it."""
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


def label_map(probabilities: Sequence[float], labels: Sequence[str]) -> dict[str, float]:
    """Name each probability, four decimals."""
    return {label: round(float(p), 4) for label, p in zip(labels, probabilities, strict=True)}


def fold_calm(probabilities: Sequence[float]) -> Probabilities:
    """Fold the eighth voice label `calm` into `neutral`: 8 (or already 7) values to 7."""
    if len(probabilities) == len(LABELS):
        return tuple(probabilities)
    *shared, calm = probabilities
    return (*shared[:-1], shared[-1] + calm)

"""Readings in, fused and smoothed state out: the whole of fusion behind three calls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from affectd.errors import ModelError
from affectd.events import (
    LABELS,
    Agreement,
    EmotionState,
    FaceReading,
    Probabilities,
    Strategy,
    VoiceReading,
    fold_calm,
)
from affectd.fusion.hysteresis import Hysteresis
from affectd.fusion.smoothing import Belief
from affectd.fusion.strategies import STRATEGIES, UNIFORM, Fused, Opinion, Vector, agreement

EVEN_SKILL: Probabilities = (1.0,) * len(LABELS)
"""A modality of which no per-class figures are known."""
LEAST_SKILL = 0.01
"""A class never told right on held-out data still counts when nothing else speaks."""


class Fuser:
    """Fuses the newest face with the newest voice. Deterministic, without a clock; not thread-safe.

    All times are on one clock, that of `captured_at`. A reading's reliability is its quality, halved
    for every `half_life_s` of age, and 0 from `absent_s` on: it is too old to be evidence.
    """

    def __init__(
        self,
        *,
        strategy: Strategy = "adaptive",
        face_weight: float = 0.6,
        enter: float = 0.5,
        leave: float = 0.35,
        dwell_s: float = 0.8,
        half_life_s: float = 1.0,
        absent_s: float = 2.0,
        face_skill: Sequence[float] = EVEN_SKILL,
        voice_skill: Sequence[float] = EVEN_SKILL,
    ) -> None:
        """Take the settings of the fusion table and each modality's skill per class of LABELS, 0..1.

        Raises ConfigError when `leave` is above `enter`, ModelError when a skill is not 7 numbers in 0..1.
        """
        self._strategy = strategy
        self._pool = STRATEGIES[strategy]
        self._face_weight = face_weight
        self._half_life_s = half_life_s
        self._absent_s = absent_s
        self._face_skill = _skill("face", face_skill)
        self._voice_skill = _skill("voice", voice_skill)
        self._belief = Belief(half_life_s)
        self._hysteresis = Hysteresis(enter=enter, leave=leave, dwell_s=dwell_s, absent_s=absent_s)
        self._face: FaceReading | None = None
        self._voice: VoiceReading | None = None
        self._track: int | None = None
        self._evidence_at: float | None = None

    def update_face(self, reading: FaceReading) -> None:
        """Hold this face reading, unless a newer one is held. One without faces ends the face's evidence."""
        if self._face is None or reading.captured_at >= self._face.captured_at:
            self._face = reading

    def update_voice(self, reading: VoiceReading) -> None:
        """Hold this voice reading, unless a newer one is held. One without speech ends the voice's evidence."""
        if self._voice is None or reading.captured_at >= self._voice.captured_at:
            self._voice = reading

    def step(self, now: float) -> tuple[EmotionState, bool]:
        """Give the state at `now`, and whether it is an event: the emotion changed with this step.

        Only readings newer than the last step's move the belief, so stepping more often changes nothing
        but how soon an absence is seen.
        """
        face, voice = self._face_opinion(now), self._voice_opinion(now)
        fused = self._pool(face, voice)
        changed = self._absence(now) if fused is None else self._presence(fused)
        return self._state(now, agreement(face, voice)), changed

    def _presence(self, fused: Fused) -> bool:
        self._forget_if_other_person()
        self._belief.update(fused.probabilities, fused.captured_at)
        self._evidence_at = max(fused.captured_at, self._evidence_at or fused.captured_at)
        return self._hysteresis.observe(self._belief.probabilities, self._evidence_at, withheld=fused.withheld)

    def _forget_if_other_person(self) -> None:
        face = None if self._face is None else self._face.primary
        if face is None or face.track == self._track:
            return
        if self._track is not None and self._strategy != "voice":
            self._belief.reset()
        self._track = face.track

    def _absence(self, now: float) -> bool:
        if self._evidence_at is None:
            return self._hysteresis.absent(now)
        if now - self._evidence_at < self._absent_s:
            return False
        self._belief.reset()
        return self._hysteresis.absent(self._evidence_at)

    def _face_opinion(self, now: float) -> Opinion:
        reading = self._face
        face = None if reading is None else reading.primary
        if reading is None or face is None:
            return Opinion(UNIFORM, 0.0, self._face_skill, self._face_weight, now)
        reliability = face.quality * self._freshness(reading, now)
        return _opinion(face.probabilities, reliability, self._face_skill, self._face_weight, reading.captured_at)

    def _voice_opinion(self, now: float) -> Opinion:
        reading = self._voice
        share = 1.0 - self._face_weight
        if reading is None or not reading.active or reading.probabilities is None:
            return Opinion(UNIFORM, 0.0, self._voice_skill, share, now)
        reliability = reading.quality * self._freshness(reading, now)
        folded = fold_calm(reading.probabilities)
        return _opinion(folded, reliability, self._voice_skill, share, reading.captured_at)

    def _freshness(self, reading: FaceReading | VoiceReading, now: float) -> float:
        if self._too_old(reading, now):
            return 0.0
        age = max(0.0, now - reading.captured_at)
        return float(2.0 ** (-age / self._half_life_s))

    def _too_old(self, reading: FaceReading | VoiceReading, now: float) -> bool:
        return now - reading.captured_at >= self._absent_s

    def _state(self, now: float, agreed: Agreement) -> EmotionState:
        probabilities = tuple(float(p) for p in self._belief.probabilities)
        emotion, since = self._hysteresis.emotion, self._hysteresis.since
        seen = None if self._face is None or self._too_old(self._face, now) else self._face
        voice = None if self._voice is None or self._too_old(self._voice, now) else self._voice
        return EmotionState(
            captured_at=max((reading.captured_at for reading in (seen, voice) if reading is not None), default=now),
            emotion=emotion,
            confidence=0.0 if emotion is None else probabilities[LABELS.index(emotion)],
            probabilities=probabilities,
            previous=self._hysteresis.previous,
            since=now if since is None else since,
            previous_held_s=self._hysteresis.previous_held_s,
            agreement=agreed,
            strategy=self._strategy,
            face=None if seen is None else seen.primary,
            voice=voice,
        )


def _skill(modality: str, values: Sequence[float]) -> Vector:
    skill = np.asarray(values, dtype=np.float64)
    if skill.shape != (len(LABELS),) or not np.all((skill >= 0) & (skill <= 1)):
        raise ModelError(
            f"the {modality} model's skill per class is {list(values)}: {len(LABELS)} numbers in 0..1 are needed, "
            f"in the order {' '.join(LABELS)}; write the bundle again with affectd-convert"
        )
    return np.maximum(skill, LEAST_SKILL)


def _opinion(values: Probabilities, reliability: float, skill: Vector, share: float, captured_at: float) -> Opinion:
    """Make an opinion; one that is no distribution (a runtime that answers NaN) counts as missing."""
    probabilities = np.asarray(values, dtype=np.float64)
    total = probabilities.sum()
    if not (np.isfinite(total) and total > 0 and probabilities.min() >= 0):
        return Opinion(UNIFORM, 0.0, skill, share, captured_at)
    return Opinion(probabilities / total, reliability, skill, share, captured_at)

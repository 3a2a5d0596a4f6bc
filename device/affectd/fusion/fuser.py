"""Readings in, fused and smoothed states out: the whole of fusion behind three calls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from affectd.events import (
    LABELS,
    Agreement,
    EmotionState,
    FaceReading,
    Person,
    Probabilities,
    Reason,
    Strategy,
    TrackedFace,
    VoiceReading,
    fold_calm,
)
from affectd.fusion.opinions import Skill, checked_skill, tempered_opinion
from affectd.fusion.people import People
from affectd.fusion.person import Announced, PersonFilter, Smoothing
from affectd.fusion.speaker import SpeakerFinder
from affectd.fusion.strategies import STRATEGIES, UNIFORM, Fused, Opinion, agreement, face_only

EVEN_SKILL: Probabilities = (1.0,) * len(LABELS)
"""A modality of which no per-class figures are known."""


@dataclass(frozen=True, slots=True)
class Fusion:
    """The result of one step of fusion."""

    state: EmotionState
    """Of the person in front."""
    events: tuple[EmotionState, ...]
    """States that are changes, to be published as events; of others than in front where `people` is "all"."""
    people: tuple[Person, ...]
    """Everybody in view, the person in front first; who is out of sight for less than two seconds counts."""


class Fuser:
    """Fuses the newest face with the newest voice. Deterministic, without a clock; not thread-safe.

    All times are on one clock, that of `captured_at`. A reading is tempered by its quality, so that a poor one moves
    a belief little, alone too. Its weight beside the other modality is halved for every `half_life_s` of age, and 0
    from `absent_s` on: it is too old to be evidence. Everybody in view has a belief and a hysteresis of their own.
    The voice is that of who is seen to speak. Where that is not known it is taken for that of the person in front,
    and counts for 1/n of itself while n people are in view.
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
        people: Literal["front", "all"] = "front",
        face_skill: Skill = EVEN_SKILL,
        voice_skill: Skill = EVEN_SKILL,
    ) -> None:
        """Take the settings of the fusion table and each modality's skill per class of LABELS, 0..1.

        None for a label is one that the modality's model does not know, and has no opinion on. Raises ConfigError
        when `leave` is above `enter`, ModelError when a skill is not 7 numbers in 0..1 or None.
        """
        self._strategy = strategy
        self._pool = STRATEGIES[strategy]
        self._face_weight, self._voice_share = face_weight, 1.0 - face_weight
        self._half_life_s = half_life_s
        self._absent_s = absent_s
        self._events_of_all = people == "all"
        self._face_skill = checked_skill("face", face_skill)
        self._voice_skill = checked_skill("voice", voice_skill)
        self._smoothing = Smoothing(
            enter=enter, leave=leave, dwell_s=dwell_s, half_life_s=half_life_s, absent_s=absent_s
        )
        self._people = People(self._new_person)
        self._speaker = SpeakerFinder()
        self._front = self._new_person()
        self._ended: list[PersonFilter] = []
        """Whose emotion was ended by `forget`, and is to be published."""
        self._front_since = 0.0
        """When that person came to the front, where another had been."""
        self._announced = Announced()
        self._face: FaceReading | None = None
        self._voice: VoiceReading | None = None

    def update_face(self, reading: FaceReading) -> None:
        """Hold this face reading, unless a newer one is held. One without faces ends the face's evidence."""
        if self._face is not None and reading.captured_at < self._face.captured_at:
            return
        self._face = reading
        self._speaker.take_face(reading)
        if self._strategy == "voice":
            self._people.take(reading, None)
            return
        # Who was heard first and is seen now is one person.
        self._people.take(reading, self._front if self._front.number is None else None)
        if reading.faces and self._people.all[0] is not self._front:
            self._front, self._front_since = self._people.all[0], reading.captured_at

    def update_voice(self, reading: VoiceReading) -> None:
        """Hold this voice reading, unless a newer one is held. One without speech ends the voice's evidence."""
        if self._voice is None or reading.captured_at >= self._voice.captured_at:
            self._voice = reading
            self._speaker.take_voice(reading)

    def end_face(self) -> None:
        """Forget the newest face reading: the camera delivers none any more."""
        self._face = None

    def end_voice(self) -> None:
        """Forget the newest voice reading: the microphone delivers none any more."""
        self._voice = None

    def forget(self, now: float) -> None:
        """Forget everybody at once: camera and microphone are closed on purpose."""
        self._face = self._voice = None
        self._speaker.forget()
        for person in {self._front, *self._people.all}:
            if person.emotion is not None:
                person.end(now)
                self._ended.append(person)
        self._people.forget()

    def step(self, now: float) -> Fusion:
        """Return the state at `now`, and the events.

        Only readings newer than the last step's move a belief, so stepping more often changes nothing
        but how soon an absence is seen.
        """
        face, voice = self._face_opinion(self._primary, now), self._voice_opinion(self._primary, now)
        changed = [self._front] if self._front.observe(self._pool(face, voice), now) else []
        changed += self._observe_others(now)
        is_news = self._announce(now)
        state = self._state(self._front, self._announced, now, agreement(face, voice))
        if self._events_of_all:
            events = tuple(state if person is self._front else self._others_state(person, now) for person in changed)
        else:
            events = (state,) if is_news else ()
        if self._front.gone(now) and self._front not in self._people.all:
            self._front = self._new_person()  # whoever is heard from now on may be another
            self._announced = replace(self._announced, person=None)
        return Fusion(state, events, tuple(_person(each, now) for each in self._people.all))

    @property
    def _primary(self) -> TrackedFace | None:
        return None if self._face is None else self._face.primary

    def _new_person(self) -> PersonFilter:
        return PersonFilter(self._smoothing)

    def _observe_others(self, now: float) -> list[PersonFilter]:
        """Read everybody but the person in front, the speaker by the voice too; return whose emotion changed."""
        changed, self._ended = self._ended, []
        for person in self._people.all:
            if person is not self._front and person.observe(self._read_other(self._visible(person), now), now):
                changed.append(person)
        for person in self._people.end_lost(now):
            if person is not self._front and person.emotion is not None:
                person.end(person.seen_at)
                changed.append(person)
        return changed

    def _read_other(self, face: TrackedFace | None, now: float) -> Fused | None:
        if self._strategy == "voice":
            return None
        seen = self._face_opinion(face, now)
        if face is None or face.track != self._speaker_in_view:
            return face_only(seen, self._nothing_heard(now))
        return self._pool(seen, self._voice_opinion(face, now))

    @property
    def _speaker_in_view(self) -> int | None:
        """Track of who is seen to speak, beside others; None: the voice is shared."""
        tracks = () if self._face is None or self._strategy == "voice" else [face.track for face in self._face.faces]
        return self._speaker.track if len(tracks) > 1 and self._speaker.track in tracks else None

    def _visible(self, person: PersonFilter) -> TrackedFace | None:
        """Return the person's face in the newest frame."""
        return next((face for face in (self._face.faces if self._face else ()) if face is person.face), None)

    def _announce(self, now: float) -> bool:
        """Take in what the person in front shows; whether that is news: another emotion, or another's emotion."""
        front, told = self._front, self._announced
        since = now if front.since is None else front.since
        began = since if told.since is None else told.since
        replaced = None not in (front.number, told.person) and front.number != told.person
        person = told.person if front.number is None else front.number
        if front.emotion == told.emotion and (front.emotion is None or not replaced):
            self._announced = replace(told, person=person, since=began)
            return False
        ended = self._front_since if replaced else since
        self._announced = Announced(
            front.emotion, person, since if replaced else max(since, began), told.emotion, max(0.0, ended - began)
        )
        return True

    def _face_opinion(self, face: TrackedFace | None, now: float) -> Opinion:
        if self._face is None or face is None:
            return Opinion(UNIFORM, 0.0, self._face_skill, self._face_weight, now)
        return tempered_opinion(
            face.probabilities,
            face.quality,
            weight=self._freshness(self._face, now),
            skill=self._face_skill,
            share=self._face_weight,
            captured_at=self._face.captured_at,
        )

    def _voice_opinion(self, face: TrackedFace | None, now: float) -> Opinion:
        """Return the opinion of the voice on the person with this face: none where another is seen to speak."""
        reading, speaker = self._voice, self._speaker_in_view
        anothers = speaker is not None and face is not None and face.track != speaker
        if reading is None or not reading.active or reading.probabilities is None or anothers:
            return self._nothing_heard(now)
        in_view = 1 if self._face is None or speaker is not None else max(1, len(self._face.faces))
        return tempered_opinion(
            fold_calm(reading.probabilities),
            reading.quality,
            weight=self._freshness(reading, now) / in_view,
            skill=self._voice_skill,
            share=self._voice_share / in_view,
            captured_at=reading.captured_at,
        )

    def _nothing_heard(self, now: float) -> Opinion:
        return Opinion(UNIFORM, 0.0, self._voice_skill, self._voice_share, now)

    def _freshness(self, reading: FaceReading | VoiceReading, now: float) -> float:
        if self._too_old(reading, now):
            return 0.0
        age = max(0.0, now - reading.captured_at)
        return float(2.0 ** (-age / self._half_life_s))

    def _too_old(self, reading: FaceReading | VoiceReading, now: float) -> bool:
        return now - reading.captured_at >= self._absent_s

    def _state(self, person: PersonFilter, told: Announced, now: float, agreed: Agreement) -> EmotionState:
        """Return the state of the person in front."""
        seen = None if self._face is None or self._too_old(self._face, now) else self._face
        voice = None if self._voice is None or self._too_old(self._voice, now) else self._voice
        face = None if seen is None else seen.primary
        somebody = face is not None or (voice is not None and voice.active)
        return EmotionState(
            captured_at=max((reading.captured_at for reading in (seen, voice) if reading is not None), default=now),
            emotion=person.emotion,
            confidence=person.confidence,
            probabilities=person.probabilities,
            previous=told.previous,
            since=now if told.since is None else told.since,
            previous_held_s=told.previous_held_s,
            agreement=agreed,
            strategy=self._strategy,
            reason=_reason(person, somebody=somebody),
            face=face,
            voice=voice,
            person=None if face is None else self._people.all[0].number,
        )

    def _others_state(self, person: PersonFilter, now: float) -> EmotionState:
        """Return the state of somebody who is not in front, or who has left: the face's, and the speaker's voice."""
        face, own = self._visible(person), person.told
        speaks = face is not None and face.track == self._speaker_in_view
        voice = self._voice_opinion(face, now) if speaks else self._nothing_heard(now)
        return EmotionState(
            captured_at=now if face is None or self._face is None else self._face.captured_at,
            emotion=person.emotion,
            confidence=person.confidence,
            probabilities=person.probabilities,
            previous=own.previous,
            since=now if own.since is None else own.since,
            previous_held_s=own.previous_held_s,
            agreement=agreement(self._face_opinion(face, now), voice),
            strategy=self._strategy,
            reason=_reason(person, somebody=face is not None),
            face=face,
            voice=self._voice if speaks else None,
            person=person.number,
        )


def _reason(person: PersonFilter, *, somebody: bool) -> Reason:
    if person.emotion is not None:
        return "shown"
    if not somebody:
        return "nobody"
    return "disagree" if person.withheld else "unsure"


def _person(person: PersonFilter, now: float) -> Person:
    assert person.number is not None
    assert person.face is not None
    since = now if person.since is None else person.since
    return Person(person.number, person.face, person.emotion, person.confidence, since)

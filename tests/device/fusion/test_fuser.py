"""The whole of fusion on sequences of readings: what becomes the state, and what becomes an event."""

import itertools

import numpy as np
import pytest

from affectd.errors import ConfigError, ModelError
from affectd.events import LABELS, VOICE_LABELS, Box, FaceReading, TrackedFace, VoiceReading
from affectd.fusion.fuser import Fuser

DWELL_S, HALF_LIFE_S, ABSENT_S = 0.8, 1.0, 2.0


def leaning(label, p=0.85, labels=LABELS):
    rest = (1 - p) / (len(labels) - 1)
    return tuple(p if name == label else rest for name in labels)


def tracked(label, p=0.85, track=1, quality=0.8, x=0.4):
    return TrackedFace(track, Box(x, 0.3, 0.2, 0.3), quality, leaning(label, p))


def face(at, label, p=0.85, track=1, quality=0.8, x=0.4):
    return FaceReading(at, (tracked(label, p, track, quality, x),))


def voice(at, label, p=0.85, quality=0.8):
    return VoiceReading(at, True, 20.0, quality, leaning(label, p, VOICE_LABELS))


def silence(at):
    return VoiceReading(at, False, None, 0.0, None)


class Run:
    """Feeds readings in order at 10 a second and keeps the events."""

    def __init__(self, fuser):
        self.fuser = fuser
        self.now = 100.0
        self.events = []
        self.told = []
        """The events' states."""
        self.state = None

    def play(self, seconds, reading, rate=10):
        """Return `reading(at)`, or nothing where it is None, for so long; a step after each."""
        for _ in range(round(seconds * rate)):
            self.now += 1 / rate
            for one in np.atleast_1d(reading(self.now)):
                if isinstance(one, FaceReading):
                    self.fuser.update_face(one)
                elif isinstance(one, VoiceReading):
                    self.fuser.update_voice(one)
            self.fusion = self.fuser.step(self.now + 0.02)
            self.state = self.fusion.state
            self.events += [(self.now, event.emotion) for event in self.fusion.events]
            self.told += self.fusion.events
        return self

    @property
    def emotions(self):
        return [emotion for _, emotion in self.events]


def stepped(fuser, now):
    """Return the state after a step, and whether it is an event."""
    fusion = fuser.step(now)
    return fusion.state, bool(fusion.events)


@pytest.fixture
def run():
    return Run(Fuser())


def test_before_anything_the_state_is_nobody():
    state, events = stepped(Fuser(), 5.0)
    assert not events
    assert (state.emotion, state.confidence, state.agreement) == (None, 0.0, "none")
    assert state.probabilities == pytest.approx((1 / 7,) * 7)
    assert state.face is None
    assert state.voice is None
    assert state.captured_at == state.since == 5.0


def test_first_emotion_is_one_event_after_the_dwell(run):
    run.play(5, lambda at: face(at, "happy"))
    ((when, emotion),) = run.events
    assert emotion == "happy"
    assert when == pytest.approx(100 + DWELL_S, abs=0.25)
    assert run.state.confidence == pytest.approx(0.85, abs=0.01)
    assert run.state.since == pytest.approx(100.1)
    assert run.state.previous is None


@pytest.mark.parametrize(("p", "half_lives"), [(0.95, 1.5), (0.8, 2), (0.65, 3)])
def test_real_change_is_exactly_one_event(run, p, half_lives):
    """Also for a model that is never sure; its changes take longer, without an announced None between."""
    run.play(10, lambda at: face(at, "happy", p)).play(10, lambda at: face(at, "sad", p))
    assert run.emotions == ["happy", "sad"]
    when = run.events[1][0]
    assert 110 + DWELL_S <= when <= 110 + DWELL_S + half_lives * HALF_LIFE_S
    assert run.state.previous == "happy"
    assert run.state.previous_held_s == pytest.approx(run.state.since - 100.1)
    assert run.state.since == pytest.approx(when - DWELL_S, abs=0.15)


def test_nothing_clear_for_long_is_no_emotion(run):
    run.play(5, lambda at: face(at, "happy")).play(10, lambda at: face(at, "sad", 0.3))
    assert run.emotions == ["happy", None]
    assert run.state.face is not None


def test_flicker_between_two_emotions_is_no_event_storm(run):
    run.play(5, lambda at: face(at, "happy"))
    run.play(30, lambda at: face(at, "happy" if int(at * 5) % 2 else "angry"), rate=10)
    assert len(run.events) <= 2


def test_flicker_from_the_start_never_names_both(run):
    run.play(30, lambda at: face(at, "fear" if int(at * 5) % 2 else "surprise"))
    assert len(run.events) <= 1


def test_one_odd_reading_is_no_event(run):
    run.play(5, lambda at: face(at, "happy")).play(0.1, lambda at: face(at, "angry", 0.99))
    run.play(5, lambda at: face(at, "happy"))
    assert run.emotions == ["happy"]


def test_person_leaves_and_returns(run):
    run.play(5, lambda at: face(at, "happy"))
    run.play(10, FaceReading)
    assert run.emotions == ["happy", None]
    assert run.events[1][0] == pytest.approx(105 + ABSENT_S, abs=0.25)
    assert run.state.confidence == 0
    assert run.state.probabilities == pytest.approx((1 / 7,) * 7)
    assert run.state.previous_held_s == pytest.approx(4.9, abs=0.05)
    assert run.state.captured_at == pytest.approx(run.now)
    run.play(5, lambda at: face(at, "happy", track=2))
    assert run.emotions == ["happy", None, "happy"]


def test_short_loss_of_the_face_is_no_event(run):
    run.play(5, lambda at: face(at, "happy")).play(1.5, FaceReading).play(5, lambda at: face(at, "happy"))
    assert run.emotions == ["happy"]


def test_silent_camera_means_nobody(run):
    """No readings at all, not even empty ones: stepping alone must see the absence, once."""
    run.play(5, lambda at: face(at, "happy")).play(10, lambda at: ())
    assert run.emotions == ["happy", None]
    assert run.state.face is None
    assert run.state.captured_at == pytest.approx(run.now + 0.02)  # of no evidence, however old: it speaks of now


def test_stepping_more_often_changes_nothing():
    rng = np.random.default_rng(4)
    labels = rng.choice(LABELS, 300)
    seldom, often = Fuser(), Fuser()
    for index, label in enumerate(labels):
        at = index * 0.1
        for fuser in (seldom, often):
            fuser.update_face(face(at, label, 0.4))
        extra = [stepped(often, at + delay) for delay in (0.0, 0.01, 0.02, 0.05)]
        one, changed = stepped(seldom, at)
        assert one.probabilities == pytest.approx(extra[-1][0].probabilities)
        assert changed == any(event for _, event in extra)


def test_a_single_reading_never_dwells_by_being_stepped():
    fuser = Fuser()
    fuser.update_face(face(0.0, "angry", 0.99))
    assert not any(fuser.step(now).events for now in np.arange(0, 5, 0.01))


def test_old_reading_does_not_replace_a_newer_one():
    fuser = Fuser()
    fuser.update_face(face(2.0, "happy"))
    fuser.update_face(face(1.0, "angry"))
    fuser.update_voice(voice(2.0, "sad"))
    fuser.update_voice(silence(1.5))
    state = fuser.step(2.0).state
    assert state.face.probabilities == leaning("happy")
    assert state.voice.active


def test_older_reading_weighs_less():
    def angry_share(voice_age):
        fuser = Fuser()
        fuser.update_face(face(10.0, "happy"))
        fuser.update_voice(voice(10.0 - voice_age, "angry"))
        return fuser.step(10.0).state.probabilities[0]

    shares = [angry_share(age) for age in (0.0, 0.5, 1.0, 1.9, 2.5)]
    assert all(earlier > later for earlier, later in itertools.pairwise(shares))
    assert shares[-1] == pytest.approx(0.025, abs=1e-6)  # too old to count: the face's own figure


def test_another_person_in_front_starts_anew_and_is_told_at_once(run):
    run.play(10, lambda at: face(at, "happy", track=1, x=0.0))
    run.play(0.1, lambda at: face(at, "sad", track=2, x=0.7))
    assert run.state.probabilities == pytest.approx(leaning("sad"))
    assert (run.state.emotion, run.state.reason, run.state.person) == (None, "unsure", 2)
    run.play(3, lambda at: face(at, "sad", track=2, x=0.7))
    assert run.emotions == ["happy", None, "sad"]
    assert run.events[1][0] == pytest.approx(110.1)
    assert run.events[2][0] == pytest.approx(110 + DWELL_S, abs=0.25)
    assert [event.person for event in run.told] == [1, 2, 2]
    assert run.told[1].previous_held_s == pytest.approx(10.0)


def test_somebody_happy_replaced_by_somebody_happy_is_told(run):
    run.play(10, lambda at: face(at, "happy", track=1, x=0.0)).play(5, lambda at: face(at, "happy", track=2, x=0.7))
    assert [(event.emotion, event.person) for event in run.told] == [("happy", 1), (None, 2), ("happy", 2)]
    assert run.state.since == pytest.approx(110.1)


def test_who_stood_behind_is_known_when_they_come_to_the_front(run):
    both = tracked("happy", track=1, x=0.0), tracked("happy", track=2, x=0.7)
    run.play(10, lambda at: FaceReading(at, both)).play(5, lambda at: FaceReading(at, both[::-1]))
    assert [(event.emotion, event.person, event.previous) for event in run.told] == [
        ("happy", 1, None),
        ("happy", 2, "happy"),
    ]
    assert run.told[1].previous_held_s == pytest.approx(10.0)
    assert [person.number for person in run.fusion.people] == [2, 1]
    assert [person.emotion for person in run.fusion.people] == ["happy", "happy"]


def test_others_emotions_are_events_where_all_are_asked_for():
    run = Run(Fuser(people="all"))
    behind = lambda label: tracked(label, track=2, x=0.7)  # noqa: E731
    run.play(5, lambda at: FaceReading(at, (tracked("happy", track=1, x=0.0), behind("sad"))))
    run.play(5, lambda at: FaceReading(at, (tracked("happy", track=1, x=0.0), behind("angry"))))
    run.play(5, lambda at: face(at, "happy", track=1, x=0.0))
    told = [(event.person, event.emotion, event.previous) for event in run.told]
    assert told == [(1, "happy", None), (2, "sad", None), (2, "angry", "sad"), (2, None, "angry")]
    run.fuser.forget(run.now)
    run.play(0.1, FaceReading)
    assert [(event.person, event.emotion) for event in run.told[4:]] == [(None, None)]


@pytest.mark.parametrize(("gap_s", "x", "person"), [(1.5, 0.45, 1), (1.5, 0.75, 2), (2.5, 0.4, 2)])
def test_a_face_back_within_two_seconds_near_where_it_was_is_the_same_person(run, gap_s, x, person):
    run.play(5, lambda at: face(at, "happy", track=1)).play(gap_s, FaceReading)
    run.play(5, lambda at: face(at, "happy", track=2, x=x))
    assert run.state.person == person
    assert run.emotions == (["happy"] if person == 1 else ["happy", None, "happy"])


def test_two_who_stand_side_by_side_stay_apart_when_both_are_lost_and_found(run):
    pair = lambda a, b: (tracked("happy", track=a, x=0.1), tracked("sad", track=b, x=0.35))  # noqa: E731
    run.play(5, lambda at: FaceReading(at, pair(1, 2))).play(1, FaceReading)
    run.play(1, lambda at: FaceReading(at, pair(8, 9)))
    assert [(each.number, each.emotion) for each in run.fusion.people] == [(1, "happy"), (2, "sad")]


def test_who_was_heard_before_they_are_seen_is_one_person(run):
    run.play(5, lambda at: voice(at, "happy"))
    assert run.state.person is None
    run.play(5, lambda at: (face(at, "happy"), voice(at, "happy")))
    assert run.emotions == ["happy"]
    assert run.state.person == 1


def test_who_is_heard_after_somebody_left_is_nobody_known(run):
    run.play(5, lambda at: face(at, "happy")).play(5, FaceReading).play(5, lambda at: voice(at, "sad"))
    run.play(5, lambda at: face(at, "happy", track=7, x=0.4))
    assert [(event.emotion, event.person) for event in run.told] == [
        ("happy", 1), (None, None), ("sad", None), ("happy", 2),
    ]  # fmt: skip


def test_the_voice_counts_for_less_while_others_are_in_view():
    def angry_share(*others):
        fuser = Fuser()
        faces = (tracked("happy", 0.5), *(tracked("neutral", track=2 + i, x=0.7) for i in range(len(others))))
        fuser.update_face(FaceReading(10.0, faces))
        fuser.update_voice(voice(10.0, "angry"))
        return fuser.step(10.0).state.probabilities[0]

    assert angry_share() > angry_share("one") > angry_share("one", "two") > 0.5 / 6


def test_what_is_forgotten_is_told_at_once(run):
    run.play(5, lambda at: (face(at, "happy"), voice(at, "happy")))
    run.fuser.forget(run.now)
    fusion = run.fuser.step(run.now)
    assert [event.emotion for event in fusion.events] == [None]
    assert (fusion.state.face, fusion.state.voice, fusion.state.person, fusion.people) == (None, None, None, ())
    assert fusion.state.reason == "nobody"


@pytest.mark.parametrize("strategy", ["adaptive", "weighted_average", "hybrid", "face"])
def test_who_is_never_seen_clearly_shows_no_emotion_and_is_there(strategy):
    run = Run(Fuser(strategy=strategy))
    run.play(20, lambda at: face(at, "angry", 0.9, quality=0.06))
    assert run.events == []
    assert (run.state.emotion, run.state.reason) == (None, "unsure")
    assert LABELS[int(np.argmax(run.state.probabilities))] == "angry"
    run.play(5, lambda at: face(at, "angry", 0.9, quality=0.3))
    assert run.emotions == ["angry"]


def test_a_voice_hardly_heard_names_nothing():
    run = Run(Fuser(strategy="voice")).play(20, lambda at: voice(at, "angry", 0.9, quality=0.05))
    assert (run.events, run.state.reason) == ([], "unsure")


def test_a_moment_of_poor_readings_ends_no_emotion_and_begins_none(run):
    run.play(5, lambda at: face(at, "happy")).play(1.5, lambda at: face(at, "angry", 0.9, quality=0.05))
    run.play(5, lambda at: face(at, "happy"))
    assert run.emotions == ["happy"]


def test_quality_is_no_weight_beside_the_other_modality():
    """Both are calibrated: a face that is good enough is not talked over by a voice for being the poorer picture."""
    readings = lambda quality: lambda at: (face(at, "happy", 0.8, quality=quality), voice(at, "sad", 0.6, quality=1.0))  # noqa: E731
    good, fair = (Run(Fuser()).play(5, readings(quality)) for quality in (1.0, 0.3))
    assert good.emotions == fair.emotions == ["happy"]
    assert fair.state.confidence == pytest.approx(good.state.confidence)


def test_calm_counts_as_neutral(run):
    run.play(5, lambda at: voice(at, "calm"))
    assert run.emotions == ["neutral"]
    assert run.state.agreement == "single"
    assert len(run.state.voice.probabilities) == 8


def test_silence_ends_the_voice_at_once():
    fuser = Fuser()
    fuser.update_face(face(1.0, "happy"))
    fuser.update_voice(voice(1.0, "happy"))
    assert fuser.step(1.0).state.agreement == "agree"
    fuser.update_voice(silence(1.5))
    state = fuser.step(1.5).state
    assert state.agreement == "single"
    assert state.voice is not None
    assert not state.voice.active


def test_hybrid_disagreement_becomes_no_emotion_and_recovers():
    run = Run(Fuser(strategy="hybrid"))
    run.play(5, lambda at: (face(at, "happy"), voice(at, "happy")))
    run.play(5, lambda at: (face(at, "happy"), voice(at, "angry")))
    assert run.emotions == ["happy", None]
    assert (run.state.agreement, run.state.reason) == ("disagree", "disagree")
    assert run.events[1][0] == pytest.approx(105 + DWELL_S, abs=0.25)
    run.play(5, lambda at: (face(at, "happy"), voice(at, "happy")))
    assert run.emotions == ["happy", None, "happy"]


def test_adaptive_takes_agreement_for_more_than_one_witness():
    alone, both = Run(Fuser()), Run(Fuser())
    alone.play(5, lambda at: face(at, "happy", 0.55))
    both.play(5, lambda at: (face(at, "happy", 0.55), voice(at, "happy", 0.55)))
    assert both.state.confidence > alone.state.confidence + 0.1


FACE_OF_THREE = tuple(0.7 if label in ("happy", "sad", "neutral") else None for label in LABELS)


def face_of_three(at, **shares):
    probabilities = tuple(shares.get(label, 0.0) for label in LABELS)
    return FaceReading(at, (TrackedFace(1, Box(0.4, 0.3, 0.2, 0.3), 0.8, probabilities),))


@pytest.mark.parametrize("strategy", ["adaptive", "weighted_average", "hybrid"])
def test_a_face_model_without_fear_is_no_obstacle_to_a_voice_that_tells_it(strategy):
    """It looks neutral, for want of the right word, and goes on doing so when the voice is silent again."""
    neutral = {"happy": 0.03, "sad": 0.07, "neutral": 0.9}
    run = Run(Fuser(strategy=strategy, face_weight=0.5, face_skill=FACE_OF_THREE))
    run.play(5, lambda at: face_of_three(at, **neutral))
    assert run.emotions == ["neutral"]
    assert run.state.confidence == pytest.approx(0.9, abs=0.01)
    assert [run.state.probabilities[LABELS.index(label)] for label in ("fear", "angry")] == [0, 0]
    run.play(5, lambda at: [face_of_three(at, **neutral), voice(at, "fear", 0.95)])
    assert run.emotions == ["neutral", "fear"]
    assert run.state.agreement == "single"
    run.play(5, lambda at: [face_of_three(at, **neutral), silence(at)])
    assert run.emotions == ["neutral", "fear", "neutral"]


def test_skills_shift_the_fused_emotion():
    skilled = tuple(0.9 if label == "angry" else 0.4 for label in LABELS)
    readings = lambda at: (face(at, "happy", 0.7), voice(at, "angry", 0.72))  # noqa: E731
    heard = Run(Fuser(face_skill=(0.3,) * 7, voice_skill=skilled)).play(5, readings)
    seen = Run(Fuser(face_skill=(0.9,) * 7, voice_skill=(0.2,) * 7)).play(5, readings)
    assert heard.emotions == ["angry"]
    assert seen.emotions == ["happy"]


@pytest.mark.parametrize("strategy", ["weighted_average", "hybrid", "adaptive", "face", "voice"])
def test_random_life_keeps_every_invariant(strategy):
    rng = np.random.default_rng(6)
    fuser = Fuser(strategy=strategy)
    now, emotion, announced = 0.0, None, []
    for _ in range(3000):
        now += rng.exponential(0.1)
        at = now - rng.exponential(0.05)
        kind = rng.integers(0, 6)
        if kind <= 2:
            probabilities = tuple(rng.dirichlet(np.full(7, 0.3)))
            fuser.update_face(FaceReading(at, (TrackedFace(1, Box(0, 0, 1, 1), rng.uniform(), probabilities),)))
        elif kind == 3:
            fuser.update_face(FaceReading(at))
        elif kind == 4:
            fuser.update_voice(VoiceReading(at, True, 10.0, rng.uniform(), tuple(rng.dirichlet(np.full(8, 0.3)))))
        else:
            fuser.update_voice(silence(at))
        state, changed = stepped(fuser, now)
        assert sum(state.probabilities) == pytest.approx(1)
        assert min(state.probabilities) >= 0
        assert changed == (state.emotion != emotion)
        assert state.emotion is None or state.confidence == state.probabilities[LABELS.index(state.emotion)]
        assert state.previous_held_s >= 0
        assert state.since <= now
        if changed:
            assert state.previous == emotion
            announced.append(now)
            emotion = state.emotion
    assert len(announced) < now / DWELL_S / 3


def test_same_readings_same_answers():
    def life():
        rng = np.random.default_rng(8)
        run = Run(Fuser())
        run.play(60, lambda at: (face(at, rng.choice(LABELS), 0.5), voice(at, rng.choice(LABELS), 0.5)))
        return run.events, run.state

    assert life() == life()


def test_model_that_answers_nan_is_not_believed(run):
    broken = TrackedFace(1, Box(0, 0, 1, 1), 0.9, (float("nan"),) * 7)
    run.play(3, lambda at: (FaceReading(at, (broken,)), voice(at, "happy")))
    assert run.emotions == ["happy"]
    assert run.state.agreement == "single"


def test_leave_above_enter_is_refused():
    with pytest.raises(ConfigError, match=r"fusion\.leave is 0\.6, above fusion\.enter, 0\.5"):
        Fuser(enter=0.5, leave=0.6)


@pytest.mark.parametrize("skill", [(0.5,) * 8, (0.5,) * 6 + (1.2,), (0.5,) * 6 + (float("nan"),), (None,) * 7])
def test_skill_that_is_none_is_refused(skill):
    with pytest.raises(ModelError, match="voice model's skill"):
        Fuser(voice_skill=skill)

"""The whole of fusion on sequences of readings: what becomes the state, and what becomes an event."""

import itertools

import numpy as np
import pytest

from affectd.errors import ConfigError, ModelError
from affectd.events import LABELS, Box, FaceReading, TrackedFace, VoiceReading
from affectd.fusion.fuser import Fuser
from support.fusing import ABSENT_S, DWELL_S, HALF_LIFE_S, Run, face, leaning, silence, stepped, voice


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

"""Several people: who is in front, who has come back, whose voice it is, and whose emotions are events."""

import pytest

from affectd.events import FaceReading
from affectd.fusion.fuser import Fuser
from support.fusing import DWELL_S, Run, face, leaning, tracked, voice


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

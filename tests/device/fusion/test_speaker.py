"""Whose voice it is: mouths that move with the sound, without it, or not at all, and what fusion makes of that."""

import numpy as np
import pytest

from affectd.events import LABELS, VOICE_LABELS, Box, FaceReading, Mouth, TrackedFace, VoiceReading
from affectd.fusion.fuser import Fuser
from affectd.fusion.speaker import WINDOW_S, SpeakerFinder

STEP = 100
"""Values of a curve a second."""
SETTLED_S = WINDOW_S + 1


def talk(seconds, seed):
    """Return the loudness of syllables, four a second or so, in sentences with pauses; (n,) dB over the background."""
    rng = np.random.default_rng(seed)
    loud, at = np.zeros(round(seconds * STEP) + STEP), 0.3
    while at < seconds:
        for _ in range(rng.integers(4, 12)):
            place = round(at * STEP) + np.arange(20)
            place = place[place < len(loud)]
            loud[place] = rng.uniform(15, 35) * np.sin(np.pi * np.arange(len(place)) / 20)
            at += rng.uniform(0.18, 0.35)
        at += rng.uniform(0.3, 0.8)
    return loud


def saying(loud, seed):
    """Return the opening of a mouth that says this: 0.1 s ahead, each syllable as wide as it likes."""
    rng = np.random.default_rng((1, seed))
    ahead = np.roll(loud, -10) / 35
    return ahead * np.repeat(rng.uniform(0.3, 1.5, len(loud) // 10 + 1), 10)[: len(loud)]


def chewing(seconds, seed):
    rng = np.random.default_rng((2, seed))
    time = np.arange(round(seconds * STEP) + STEP) / STEP
    return np.clip(np.sin(2 * np.pi * rng.uniform(1.1, 1.8) * time), 0, None) * 0.6


def still(seconds, _seed):
    return np.zeros(round(seconds * STEP) + STEP)


def readings(openings, loud, seconds, rate=10.0, emotions=None, seed=0):
    """Return what is read of these mouths and this sound, in the order of time, with a little noise."""
    rng = np.random.default_rng((3, seed))
    noise = lambda: 0.03 * rng.standard_normal()  # noqa: E731
    out, before = [], [0.0] * len(openings)
    for at in np.arange(0, seconds, 1 / rate):
        now = [float(opening[round(at * STEP)]) for opening in openings]
        faces = [
            TrackedFace(
                track,
                Box(0.3 * track - 0.2, 0.3, 0.2, 0.3),
                0.8,
                leaning(emotions[track - 1] if emotions else "neutral", 0.4, LABELS),
                mouth=Mouth(abs(new - old) + noise(), new + noise()),
            )
            for track, (old, new) in enumerate(zip(before, now, strict=True), 1)
        ]
        before = now
        out.append(FaceReading(float(at), tuple(faces)))
    for hop in range(1, int(2 * seconds)):
        heard = loud[max(0, 50 * hop - 53) : 50 * hop - 3].astype(np.float32)
        active = bool(loud[max(0, 50 * hop - 100) : 50 * hop].any())
        values = leaning("angry", 0.8, VOICE_LABELS) if active else None
        out.append(VoiceReading(hop / 2, active, 20.0 if active else None, 0.8, values, heard))
    return sorted(out, key=lambda reading: reading.captured_at)


def leaning(label, p, labels):
    rest = (1 - p) / (len(labels) - 1)
    return tuple(p if name == label else rest for name in labels)


def found(some, start=SETTLED_S):
    """Return whom each active hop from `start` on is given to."""
    finder, tracks = SpeakerFinder(), []
    for reading in some:
        if isinstance(reading, FaceReading):
            finder.take_face(reading)
        else:
            finder.take_voice(reading)
            if reading.active and reading.captured_at >= start:
                tracks.append(finder.track)
    return tracks


@pytest.mark.parametrize("rate", [10.0, 15.0])
@pytest.mark.parametrize("other", [still, chewing])
def test_the_voice_is_of_whose_mouth_moves_with_it(other, rate):
    tracks = []
    for seed in range(4):
        loud = talk(30, seed)
        tracks += found(readings([other(30, seed), saying(loud, seed)], loud, 30, rate, seed=seed))
    assert set(tracks) <= {2, None}
    assert tracks.count(2) > 0.8 * len(tracks)


def test_a_voice_from_out_of_view_is_nobodys_in_view():
    tracks = []
    for seed in range(6):
        unheard = saying(talk(30, 100 + seed), seed)
        tracks += found(readings([chewing(30, seed), unheard], talk(30, seed), 30, seed=seed))
    assert len(tracks) > 200
    assert sum(track is not None for track in tracks) <= 0.02 * len(tracks)


def test_mouths_seen_too_seldom_are_not_compared():
    loud = talk(30, 0)
    assert set(found(readings([still(30, 0), saying(loud, 0)], loud, 30, rate=5))) == {None}


def test_sound_with_a_gap_is_not_compared_until_it_is_long_enough_again():
    loud = talk(30, 0)
    some = readings([still(30, 0), saying(loud, 0)], loud, 30)
    whole = [reading for reading in some if isinstance(reading, FaceReading) or not 12 < reading.captured_at < 15]
    assert 2 in found(some, start=15)[:10]
    assert set(found([reading for reading in whole if reading.captured_at < 24], start=15)) == {None}


def test_who_has_stopped_speaking_does_not_get_the_voice_of_the_next():
    tracks = []
    for seed in range(4):
        first, second = talk(40, seed), talk(40, 50 + seed)
        first[20 * STEP :] = 0
        second[: 20 * STEP] = 0
        mouths = [saying(first, seed), saying(second, 50 + seed)]
        tracks += found(readings(mouths, first + second, 40, seed=seed), start=22)
    assert tracks.count(1) <= 0.02 * len(tracks)
    assert tracks.count(2) > 0.4 * len(tracks)


def fused(openings, loud, seconds):
    """Return what events call angry, as the voice is, and who is in view in the end; faces show next to nothing."""
    fuser, told = Fuser(people="all"), []
    for reading in readings(openings, loud, seconds):
        if isinstance(reading, FaceReading):
            fuser.update_face(reading)
        else:
            fuser.update_voice(reading)
        fusion = fuser.step(reading.captured_at)
        told += [event for event in fusion.events if event.emotion == "angry"]
    return told, fusion.people


def test_the_speakers_emotion_is_the_voices_and_nobody_elses():
    loud = talk(30, 3)
    told, people = fused([still(30, 3), saying(loud, 3)], loud, 30)
    assert told[-1].face.track == 2
    assert told[-1].voice is not None
    assert told[-1].agreement == "disagree"
    assert [person.emotion == "angry" for person in people] == [False, True]
    _, people = fused([saying(loud, 3), still(30, 3)], loud, 30)
    assert [person.emotion == "angry" for person in people] == [True, False]

"""Readings made up for the fusion, and a run of it over sequences of them."""

import numpy as np

from affectd.events import LABELS, VOICE_LABELS, Box, FaceReading, TrackedFace, VoiceReading

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

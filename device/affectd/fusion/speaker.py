"""Whose voice it is: of the faces in view, the one whose mouth has moved with the sound."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from affectd.events import FaceReading, VoiceReading

WINDOW_S = 10.0
"""Sound and mouths are compared over so long: of shorter ones too many are alike by chance."""
RATE = 9.0
"""Frames a second in the window from which a mouth is followed closely enough: a camera's ten, one of ten lost."""
LAGS_S = (-0.1, 0.0, 0.1, 0.2)
"""How far the sound may be behind the picture: a mouth opens up to 0.2 s before it is heard (Chandrasekaran et al.
2009), and camera and microphone stamp their times differently."""
DRIFT_S = 2.2
"""What changes more slowly is not speech: syllables come 2 to 7 times a second, words once or twice."""
LOUDEST_DB = 40.0
"""Level over the background above which louder is the same."""
BEGIN, LEAD, HOPS = 0.65, 0.2, 3
"""Likeness from which a face is the speaker's, by how much it must be ahead of the others', and over how many hops in
a row: what is alike by chance is so for a moment."""
HOLD = 0.45
"""Likeness down to which it goes on being the speaker's while it leads."""
RECENT_S, STILL, LESS = 1.5, 0.3, 0.7
"""Whose mouth has lately moved less than the first share of what it moved in the window speaks no longer; nor when it
is less than the second and another's moves more."""
STEP_S, LATEST_S = 0.01, 0.03
"""From one value of the loudness to the next, and from the newest to the end of its hop."""

Curve = NDArray[np.float64]


class SpeakerFinder:
    """Compares the mouths in view with the sound. Deterministic, without a clock; not thread-safe."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self.track: int | None = None
        """Track of who speaks; None: nobody does, or it is not known."""
        self._clear: tuple[int | None, int] = None, 0
        """Whose mouth is clearly the likeliest, and for how many hops by now."""
        self._likely: int | None = None
        """Track of the face that leads, though its mouth may rest."""
        self._seen_until = float("-inf")
        """Time of the newest frame."""
        self._mouths: dict[int, deque[tuple[float, float, float]]] = {}
        """Time, motion and darkness by track."""
        self._sound: deque[tuple[float, Curve]] = deque()
        """Loudness of a hop, and when it ended."""

    def forget(self) -> None:
        """Forget what was seen and heard."""
        self.track = self._likely = None
        self._clear = None, 0
        self._mouths.clear()
        self._sound.clear()

    def take_face(self, reading: FaceReading) -> None:
        """Take in the mouths of a frame."""
        self._seen_until = reading.captured_at
        for face in reading.faces:
            if face.mouth is not None:
                curve = self._mouths.setdefault(face.track, deque())
                curve.append((reading.captured_at, face.mouth.motion, face.mouth.darkness))
        oldest = reading.captured_at - WINDOW_S - 2.0
        for track, curve in list(self._mouths.items()):
            while curve and curve[0][0] < oldest:
                curve.popleft()
            if not curve:
                del self._mouths[track]

    def take_voice(self, reading: VoiceReading) -> None:
        """Take in a hop of sound, and look who speaks."""
        if reading.loudness is None:
            return
        self._sound.append((reading.captured_at, np.asarray(reading.loudness, np.float64)))
        while self._sound and self._sound[0][0] < reading.captured_at - WINDOW_S - 2.0:
            self._sound.popleft()
        self.track = None
        if reading.active and reading.captured_at - self._seen_until < RECENT_S:
            # Of later frames the sound that lags most is not there yet; and pictures may come later than sound.
            end = min(reading.captured_at - LATEST_S - max(LAGS_S), self._seen_until)
            mouths = self._watched(end)
            heard = self._heard(end - WINDOW_S + min(LAGS_S))
            likenesses = {} if heard is None else {track: _likeness(mouth, *heard) for track, mouth in mouths.items()}
            self._likely = self._leading(likenesses)
            if self._likely is not None and _still_speaks(self._likely, mouths):
                self.track = self._likely

    def _leading(self, likenesses: dict[int, float]) -> int | None:
        """Return whose mouth is clearly the one that moves with the sound, or still leads after it was."""
        if not likenesses:
            self._clear = None, 0
            return None
        first, *others = sorted(likenesses, key=lambda track: likenesses[track], reverse=True)
        ahead = likenesses[first] - (likenesses[others[0]] if others else 0.0)
        clear = first if likenesses[first] >= BEGIN and ahead >= LEAD else None
        self._clear = clear, 1 if clear != self._clear[0] else self._clear[1] + 1
        if clear is not None and self._clear[1] >= HOPS:
            return first
        return first if first == self._likely and likenesses[first] >= HOLD else None

    def _watched(self, end: float) -> dict[int, Curve]:
        """Return time, motion and darkness (n, 3) in the window that ends so, of the mouths watched closely enough."""
        windows = {
            track: np.array([row for row in curve if end - WINDOW_S < row[0] <= end])
            for track, curve in self._mouths.items()
        }
        return {track: rows for track, rows in windows.items() if len(rows) >= RATE * WINDOW_S}

    def _heard(self, begin: float) -> tuple[Curve, Curve] | None:
        """Return times and loudness from `begin` seconds on; None where some of it is missing."""
        times, levels = [], []
        for at, loudness in self._sound:
            times.append(at - LATEST_S - STEP_S * np.arange(len(loudness) - 1, -1, -1))
            levels.append(loudness)
        time, level = np.concatenate(times), np.concatenate(levels)
        known = time >= begin - 0.1
        time, level = time[known], level[known]
        if len(time) == 0 or time[0] > begin or np.diff(time).max(initial=0.0) > 0.1:
            return None
        return time, _smooth(np.clip(level, 0.0, LOUDEST_DB), 15)


def _still_speaks(track: int, mouths: dict[int, Curve]) -> bool:
    """Whether this one of the mouths (n, 3) has lately moved enough not to have given way to another."""
    lately = {each: float(rows[rows[:, 0] > rows[-1, 0] - RECENT_S, 1].mean()) for each, rows in mouths.items()}
    usual = float(mouths[track][:, 1].mean())
    least = STILL if lately[track] >= max(lately.values()) else LESS
    return lately[track] >= least * usual


def _likeness(mouth: Curve, time: Curve, level: Curve) -> float:
    """Return the sum of two correlations, of the best lag: loudness with the mouth's darkness, and with its motion.

    The first is of what syllables change, the second of speech and pauses too.
    """
    at, motion, darkness = mouth.T
    drift = round(DRIFT_S * len(at) / WINDOW_S)
    opening, motion = darkness - _smooth(darkness, drift), np.maximum(motion, -0.02)
    loud = np.interp(at + np.array(LAGS_S)[:, np.newaxis], time, level)
    return float(max(0.0, *(_correlations(loud - _smooth(loud, drift), opening) + _correlations(loud, motion))))


def _smooth(curve: Curve, width: int) -> Curve:
    """Return the running mean over `width` values of (..., n), mirrored at its ends."""
    half = width // 2
    mirrored = [curve[..., half:0:-1], curve, curve[..., -2 : -half - 2 : -1]]
    total = np.cumsum(np.concatenate([np.zeros((*curve.shape[:-1], 1)), *mirrored], axis=-1), axis=-1)
    mean: Curve = (total[..., 2 * half + 1 :] - total[..., : -2 * half - 1]) / (2 * half + 1)
    return mean


def _correlations(curves: Curve, other: Curve) -> Curve:
    """Return those of each curve (m, n) with the other (n,); 0 where one is constant."""
    curves, other = curves - curves.mean(axis=1, keepdims=True), other - other.mean()
    scale = np.sqrt((curves * curves).sum(axis=1) * (other @ other))
    return np.asarray(np.divide(curves @ other, scale, out=np.zeros_like(scale), where=scale > 0))

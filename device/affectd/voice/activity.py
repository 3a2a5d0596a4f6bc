"""Whether somebody speaks, frame by frame: louder than the background and voiced, as fans and clicks are not."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

VOICED = 0.5
"""Voicing strength from which a frame is voiced; noise, even a rumble, stays below in nine frames of ten."""
ONSET_FRAMES = 5
"""Voiced frames in a row that begin speech: 50 ms, longer than a click, shorter than a syllable."""
HANGOVER_FRAMES = 25
"""Frames for which speech goes on after its last voiced one: unvoiced consonants and short pauses."""
SMOOTHING = 0.85
"""Weight of the past in the level whose minimum is the background."""
BLOCK_FRAMES, BLOCKS = 50, 10
"""The background is the minimum over 10 blocks of 0.5 s: a speaker pauses at least once in 5 s."""
MINIMUM_BIAS_DB = 2.0
"""The minimum of a fluctuating level lies about this much below its mean."""
QUIETEST_DB = -75.0
"""The background is never taken to be quieter: about the noise of a good microphone; digital silence is below."""


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """What a run of frames holds; arrays (n,), one value per frame."""

    speech: NDArray[np.bool_]
    background_db: FloatArray
    """Level of the background at that frame, dB of full scale."""


@dataclass
class SpeechActivity:
    """Tells speech from background; the background is learnt by minimum statistics (after Martin 2001).

    It knows the background after the first pause of the speaker; a new constant noise counts as
    background after 5 s.
    """

    min_snr_db: float = 6.0
    _level: float = field(init=False)
    _block: float = field(init=False)
    _frames_in_block: int = field(init=False)
    _minima: deque[float] = field(init=False)
    _voiced_run: int = field(init=False)
    _hangover: int = field(init=False)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the background."""
        self._level = np.nan
        self._block = np.inf
        self._frames_in_block = 0
        self._minima = deque(maxlen=BLOCKS)
        self._voiced_run = 0
        self._hangover = 0

    def feed(self, level_db: FloatArray, voicing: FloatArray) -> Activity:
        """Take the next frames' levels (n,) in dB of full scale and voicing strengths (n,) 0..1."""
        speech = np.zeros(len(level_db), np.bool_)
        background = np.zeros(len(level_db), np.float32)
        for i, (level, strength) in enumerate(zip(level_db.tolist(), voicing.tolist(), strict=True)):
            background[i] = floor = self._learn_background(level)
            speech[i] = self._is_speech(level - floor >= self.min_snr_db and strength >= VOICED)
        return Activity(speech, background)

    def _learn_background(self, level: float) -> float:
        # NaN marks the first frame.
        past = level if np.isnan(self._level) else self._level
        self._level = SMOOTHING * past + (1 - SMOOTHING) * level
        self._block = min(self._block, self._level)
        floor = min(self._block, *self._minima) if self._minima else self._block
        self._frames_in_block += 1
        if self._frames_in_block == BLOCK_FRAMES:
            self._minima.append(self._block)
            self._block, self._frames_in_block = np.inf, 0
        return max(floor + MINIMUM_BIAS_DB, QUIETEST_DB)

    def _is_speech(self, voiced: bool) -> bool:
        self._voiced_run = self._voiced_run + 1 if voiced else 0
        if self._voiced_run >= ONSET_FRAMES or (voiced and self._hangover > 0):
            self._hangover = HANGOVER_FRAMES
            return True
        self._hangover = max(0, self._hangover - 1)
        return self._hangover > 0


def speech_snr_db(level_db: FloatArray, activity: Activity) -> float | None:
    """Estimate speech over background in dB, -10..60, from frames (n,); None when none is speech.

    The power of the speech frames less the background's, over the background's.
    """
    if not activity.speech.any():
        return None
    loud = float(np.mean(10 ** (level_db[activity.speech] / 10)))
    background = float(np.mean(10 ** (activity.background_db[activity.speech] / 10)))
    return float(np.clip(10 * np.log10(max(loud / background - 1, 0.1)), -10.0, 60.0))

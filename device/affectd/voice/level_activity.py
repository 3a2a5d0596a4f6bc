"""Voice activity by level and voicing: louder than the background and voiced, as fans and clicks are not.

Music, alarms and barks are both, and count as speech: this is for boxes for which there is nothing better.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from affectd.voice.activity import HANGOVER_FRAMES, Activity, Background
from affectd.voice.speech_frames import FloatArray, Frames

VOICED = 0.5
"""Voicing strength from which a frame is voiced; noise, even a rumble, stays below in nine frames of ten."""
ONSET_FRAMES = 5
"""Voiced frames in a row that begin speech: 50 ms, longer than a click, shorter than a syllable."""


@dataclass
class LevelActivity:
    """Takes for speech what is voiced and `min_snr_db` or more over the background."""

    min_snr_db: float = 6.0
    name: str = field(default="level", init=False)
    network_s: float = field(default=0.0, init=False)
    probability: float | None = field(default=None, init=False)
    _background: Background = field(init=False)
    _voiced_run: int = field(init=False)
    _hangover: int = field(init=False)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the background."""
        self._background = Background()
        self.skip()

    def skip(self) -> None:
        """Begin a new stream before the same background."""
        self._voiced_run = 0
        self._hangover = 0

    def feed(self, samples: NDArray[np.int16], frames: Frames) -> Activity:  # noqa: ARG002 (the frames suffice)
        """Judge the next frames."""
        return self.judge(frames.level_db, frames.voicing)

    def judge(self, level_db: FloatArray, voicing: FloatArray) -> Activity:
        """Take the next frames' levels (n,) in dB of full scale and voicing strengths (n,) 0..1."""
        speech = np.zeros(len(level_db), np.bool_)
        background = np.zeros(len(level_db), np.float32)
        for i, (level, strength) in enumerate(zip(level_db.tolist(), voicing.tolist(), strict=True)):
            background[i] = floor = self._background.learn(level)
            speech[i] = self._is_speech(level - floor >= self.min_snr_db and strength >= VOICED)
        return Activity(speech, background)

    def _is_speech(self, voiced: bool) -> bool:
        self._voiced_run = self._voiced_run + 1 if voiced else 0
        if self._voiced_run >= ONSET_FRAMES or (voiced and self._hangover > 0):
            self._hangover = HANGOVER_FRAMES
            return True
        self._hangover = max(0, self._hangover - 1)
        return self._hangover > 0

"""Whether somebody speaks, frame by frame: what every detector takes and returns, and the background they learn."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from affectd.voice.speech_frames import FloatArray, Frames, FrameSettings

HANGOVER_FRAMES = 25
"""Frames for which speech goes on after its last sure one: unvoiced consonants and short pauses."""
SMOOTHING = 0.85
"""Weight of the past in the level whose minimum is the background."""
BLOCK_FRAMES, BLOCKS = 50, 10
"""The background is the minimum over 10 blocks of 0.5 s: a speaker pauses at least once in 5 s."""
MINIMUM_BIAS_DB = 2.0
"""The minimum of a fluctuating level lies about this much below its mean."""
QUIETEST_DB = -75.0
"""The background is never taken to be quieter: about the noise of a good microphone; digital silence is below."""
SPEECH_S = 0.3
"""Speech that a window must hold for somebody to speak in it."""
RECENT_S = 1.0
"""The newest speech must be younger: a reading of speech of three seconds ago would look fresh."""


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """What a run of frames holds; arrays (n,), one value per frame."""

    speech: NDArray[np.bool_]
    background_db: FloatArray
    """Level of the background at that frame, dB of full scale."""


class VoiceActivity(Protocol):
    """Detects speech in the frames of one stream of sound. Not thread-safe."""

    name: str
    network_s: float
    """Seconds spent in a network so far; 0 without one."""
    probability: float | None
    """Of speech in the newest piece of sound, 0..1; None from a detector that knows none."""

    def reset(self) -> None:
        """Forget the stream, the background too."""

    def skip(self) -> None:
        """Take the next sample for the first of a new stream, in the same room: the background is kept."""

    def feed(self, samples: NDArray[np.int16], frames: Frames) -> Activity:
        """Judge the frames that the stream's next (n,) samples have completed."""


@dataclass
class Background:
    """Learns the level of the background by minimum statistics (after Martin 2001).

    It knows the background after the first pause of the speaker; a new constant noise counts as
    background after 5 s.
    """

    _level: float = field(default=np.nan, init=False)
    """Smoothed; NaN before the first frame."""
    _block: float = field(default=np.inf, init=False)
    _frames_in_block: int = field(default=0, init=False)
    _minima: deque[float] = field(default_factory=lambda: deque(maxlen=BLOCKS), init=False)

    def learn(self, level_db: float) -> float:
        """Take the next frame's level, return the background's, both in dB of full scale."""
        past = level_db if np.isnan(self._level) else self._level
        self._level = SMOOTHING * past + (1 - SMOOTHING) * level_db
        self._block = min(self._block, self._level)
        floor = min(self._block, *self._minima) if self._minima else self._block
        self._frames_in_block += 1
        if self._frames_in_block == BLOCK_FRAMES:
            self._minima.append(self._block)
            self._block, self._frames_in_block = np.inf, 0
        return max(floor + MINIMUM_BIAS_DB, QUIETEST_DB)


def somebody_speaks(speech: NDArray[np.bool_]) -> bool:
    """Return whether a window of frames (n,) holds enough speech, some of it recent."""
    frame_s = FrameSettings().hop_s
    return bool(speech[-round(RECENT_S / frame_s) :].any()) and int(speech.sum()) >= round(SPEECH_S / frame_s)


def speech_snr_db(level_db: FloatArray, activity: Activity) -> float | None:
    """Estimate speech over background in dB, -10..60, from frames (n,); None when none is speech.

    The power of the speech frames less the background's, over the background's.
    """
    if not activity.speech.any():
        return None
    loud = float(np.mean(10 ** (level_db[activity.speech] / 10)))
    background = float(np.mean(10 ** (activity.background_db[activity.speech] / 10)))
    return float(np.clip(10 * np.log10(max(loud / background - 1, 0.1)), -10.0, 60.0))

"""How a recorded clip becomes one answer: the windows a daemon would classify while it plays, and their mean."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from affectd.voice.features import FloatArray, FrameExtractor, VoiceFeatures
from affectd.voice.level_activity import LevelActivity
from affectd.voice.reader import RECENT_S, SPEECH_S
from affectd_convert.errors import DataError

HOP_S = 0.5
"""From one window to the next, as the daemon's default."""


def fewest_samples(features: VoiceFeatures) -> int:
    """Return how many samples at `features.sample_rate` a clip must have to hold a frame."""
    return features.pitch_length - (features.pitch_length - features.frame_length) // 2


def clip_logits(
    samples: NDArray[np.int16], features: VoiceFeatures, run: Callable[[FloatArray], FloatArray]
) -> FloatArray:
    """Return one answer for a clip: logits (labels,) float32, the mean over its windows.

    `samples` is (n,) int16 mono at `features.sample_rate`; `run` returns logits (windows, labels) for inputs
    (windows, window_frames, columns). The mean of logits is, whatever the temperature, the mean of calibrated
    log-probabilities up to a constant that the softmax removes. Raises DataError when the clip holds no frame.
    """
    return np.asarray(run(clip_windows(samples, features)).mean(axis=0), np.float32)


def clip_windows(samples: NDArray[np.int16], features: VoiceFeatures) -> FloatArray:
    """Return the network's inputs (windows, window_frames, columns) float32 for a clip.

    A clip no longer than a window is one, padded as the daemon pads. A longer one is heard every HOP_S; of its
    full windows those count in which the daemon would hear somebody speak, or all where there are none.
    Raises DataError when the clip is shorter than a frame.
    """
    static = FrameExtractor(features).feed(samples)
    if not len(static):
        raise DataError(f"{len(samples)} samples at {features.sample_rate} Hz are too few to tell anything from")
    size = features.window_frames
    ends = range(size, len(static) + 1, round(HOP_S / features.hop_s)) or [len(static)]
    speech = LevelActivity().judge(static[:, features.mfcc + 2], static[:, features.mfcc + 1]).speech
    heard = [end for end in ends if _somebody_speaks(speech[max(end - size, 0) : end], features.hop_s)]
    return np.stack([features.window(static[max(end - size, 0) : end]) for end in heard or ends])


def _somebody_speaks(speech: NDArray[np.bool_], frame_s: float) -> bool:
    """Return whether a window of frames (n,) holds enough speech, some of it recent, as VoiceReader does."""
    recent = speech[-round(RECENT_S / frame_s) :]
    return bool(recent.any()) and int(speech.sum()) >= round(SPEECH_S / frame_s)

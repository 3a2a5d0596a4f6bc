"""How a recorded clip becomes one answer: the windows a daemon would classify while it plays, and their mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import ceil

import numpy as np
from numpy.typing import NDArray

from affectd.resample import SAMPLE_RATE
from affectd.voice.activity import somebody_speaks
from affectd.voice.features import FeatureStream, FloatArray, VoiceFeatures
from affectd.voice.level_activity import LevelActivity
from affectd.voice.speech_frames import FrameSettings, SpeechFrameExtractor
from affectd_convert.errors import DataError

HOP_S = 0.5
"""From one window to the next, as the daemon's default."""


def fewest_samples(features: VoiceFeatures) -> int:
    """Return how many samples at 16 kHz a clip must have to hold a frame."""
    return max(FrameSettings().samples_until(0), ceil(features.shortest_s * SAMPLE_RATE))


def clip_logits(
    samples: NDArray[np.int16], features: VoiceFeatures, run: Callable[[FloatArray], FloatArray]
) -> FloatArray:
    """Return one answer for a clip: logits (labels,) float32, the mean over its windows.

    `samples` is (n,) int16 mono at 16 kHz; `run` returns logits (windows, labels) for inputs
    (windows, *features.shape). The mean of logits is, whatever the temperature, the mean of calibrated
    log-probabilities up to a constant that the softmax removes. Raises DataError when the clip holds no frame.
    """
    return np.asarray(run(clip_windows(samples, features)).mean(axis=0), np.float32)


def clip_windows(samples: NDArray[np.int16], features: VoiceFeatures) -> FloatArray:
    """Return the network's inputs (windows, *features.shape) float32 for a clip (n,) int16 mono at 16 kHz.

    A clip no longer than a window is one, padded as the daemon pads. A longer one is heard every HOP_S; of its
    full windows those count in which the daemon would hear somebody speak, or all where there are none.
    Raises DataError when the clip is shorter than a frame.
    """
    return np.stack([stream.window() for stream in _heard(samples, features)])


def fit_statistics(
    clips: Iterable[NDArray[np.int16]], features: VoiceFeatures
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation of every column of `features`, over the windows of clips as `clip_windows` has them.

    What windows are padded with does not count. Raises DataError when there is no clip, or one is too short.
    """
    count, total, squares = 0, np.zeros(1), np.zeros(1)
    for samples in clips:
        for stream in _heard(samples, features):
            values = stream.values().astype(np.float64)
            count += len(values)
            total = total + values.sum(axis=0)
            squares = squares + (values * values).sum(axis=0)
    if not count:
        raise DataError("no clip to take mean and deviation of the features from")
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean * mean, 1e-6))
    return tuple(round(float(v), 5) for v in mean), tuple(round(float(v), 5) for v in std)


def _heard(samples: NDArray[np.int16], features: VoiceFeatures) -> Iterator[FeatureStream]:
    """Play a clip; yield the stream of its features at the end of every window that counts."""
    if len(samples) < fewest_samples(features):
        raise DataError(f"{len(samples)} samples at {SAMPLE_RATE} Hz are too few to tell anything from")
    settings, frames = FrameSettings(), SpeechFrameExtractor().extract(samples)
    size = round(features.window_s / settings.hop_s)
    ends = range(size, len(frames) + 1, round(HOP_S / settings.hop_s)) or [len(frames)]
    speech = LevelActivity().feed(samples, frames).speech
    heard = [end for end in ends if somebody_speaks(speech[max(end - size, 0) : end])]
    stream, extractor, at = features.stream(), SpeechFrameExtractor(), 0
    for end in heard or ends:
        until = settings.samples_until(end - 1)
        stream.push(samples[at:until], extractor.extract(samples[at:until]))
        at = until
        yield stream

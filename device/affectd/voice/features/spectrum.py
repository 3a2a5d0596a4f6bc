"""Sound as a network's own sample rate has it, cut into frames, and its mel filters: as librosa has them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from affectd.resample import SAMPLE_RATE, Resampler
from affectd.voice.speech_frames import FloatArray, strided


class Sound:
    """The newest sound of a stream at another rate than 16 kHz, or at the same, in -1..1."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next sample is the first."""
        self._resampler = Resampler(SAMPLE_RATE, self._sample_rate)
        self.samples: FloatArray = np.zeros(0, np.float32)
        self._owed = 0
        """Samples to be forgotten when they come: frames may be further apart than they are long."""

    def push(self, samples: NDArray[np.int16]) -> None:
        """Take the next samples (n,) int16 at 16 kHz."""
        part = self._resampler.process(samples.astype(np.float32)) / np.float32(32768)
        self.samples = np.concatenate([self.samples, part])
        self.drop(0)

    def drop(self, count: int) -> None:
        """Forget the oldest samples, so many, those that are still to come among them."""
        self._owed += count
        there = min(self._owed, len(self.samples))
        self.samples = self.samples[there:]
        self._owed -= there


class PendingFrames:
    """The frames of a stream that were not taken yet; of more than `most` the oldest are never computed."""

    def __init__(self, sample_rate: int, length: int, hop: int, most: int) -> None:
        self._length, self._hop, self._most = length, hop, most
        self._sound = Sound(sample_rate)

    def reset(self) -> None:
        """Forget the stream: the next sample is the first."""
        self._sound.reset()

    def push(self, samples: NDArray[np.int16]) -> None:
        """Take the next samples (n,) int16 at 16 kHz."""
        self._sound.push(samples)
        self._sound.drop(max(0, self._complete() - self._most) * self._hop)

    def take(self) -> FloatArray:
        """Return the frames (n, length) that are complete and were not taken before."""
        count = self._complete()
        if not count:
            return np.zeros((0, self._length), np.float32)
        frames = strided(self._sound.samples, self._length, self._hop, count)
        self._sound.drop(count * self._hop)
        return frames

    def _complete(self) -> int:
        return max(0, (len(self._sound.samples) - self._length) // self._hop + 1)


def hann(length: int) -> FloatArray:
    """Return a periodic Hann window (length,)."""
    return np.hanning(length + 1)[:-1].astype(np.float32)


def magnitudes(frames: FloatArray, window: FloatArray, fft_size: int) -> FloatArray:
    """Return the magnitudes (n, fft_size // 2 + 1) of the windowed frames (n, length)."""
    return np.abs(np.fft.rfft(frames * window, fft_size)).astype(np.float32)


def mel_filters(
    *, sample_rate: int, fft_size: int, filters: int, low_hz: float, high_hz: float, scale: str, even_area: bool
) -> FloatArray:
    """Return triangular mel filters (fft_size // 2 + 1, filters), as librosa.filters.mel has them.

    `scale`: 'slaney', linear below 1 kHz (M. Slaney, Auditory Toolbox, 1998), or 'htk', 2595 log10(1 + Hz / 700).
    `even_area`: filters have the same area, not the same height.
    """
    low, high = (float(hz_to_mel(np.array([hz]), scale)[0]) for hz in (low_hz, high_hz))
    centres = mel_to_hz(np.linspace(low, high, filters + 2), scale)
    bins = np.linspace(0, sample_rate / 2, fft_size // 2 + 1)
    widths = np.diff(centres)
    ramps = centres[:, np.newaxis] - bins
    bank = np.maximum(0, np.minimum(-ramps[:-2] / widths[:-1, np.newaxis], ramps[2:] / widths[1:, np.newaxis]))
    if even_area:
        bank *= (2 / (centres[2:] - centres[:-2]))[:, np.newaxis]
    return np.ascontiguousarray(bank.T, np.float32)


_LINEAR_HZ, _LINEAR_STEP, _LOG_STEP = 1000.0, 200.0 / 3, np.log(6.4) / 27.0


def hz_to_mel(hertz: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    """Return frequencies (n,) on the mel scale."""
    if scale == "htk":
        return np.asarray(2595 * np.log10(1 + hertz / 700), np.float64)
    above = _LINEAR_HZ / _LINEAR_STEP + np.log(np.maximum(hertz, _LINEAR_HZ) / _LINEAR_HZ) / _LOG_STEP
    return np.where(hertz < _LINEAR_HZ, hertz / _LINEAR_STEP, above)


def mel_to_hz(mels: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    """Return the frequencies (n,) of places on the mel scale."""
    if scale == "htk":
        return np.asarray(700 * (10 ** (mels / 2595) - 1), np.float64)
    kink = _LINEAR_HZ / _LINEAR_STEP
    return np.where(mels < kink, mels * _LINEAR_STEP, _LINEAR_HZ * np.exp(_LOG_STEP * (np.maximum(mels, kink) - kink)))

"""Sound of any rate and channel count to mono at another rate, 16 kHz if not said, block after block without seams."""

from __future__ import annotations

from math import ceil, gcd

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Hz; what every microphone delivers, and the voice path takes."""
_ZERO_CROSSINGS = 16
"""On each side of the low-pass filter's peak; more is steeper and slower."""


class Resampler:
    """Rational resampling of one channel by a polyphase low-pass FIR filter.

    The filter delays the sound by 16 samples of the slower rate (about 1 ms). It is numpy's work alone: scipy.signal
    would take 50 MB of memory.
    """

    def __init__(self, sample_rate: int, to: int = SAMPLE_RATE) -> None:
        common = gcd(to, sample_rate)
        self._up = to // common
        self._down = sample_rate // common
        phases = _phases(self._up, self._down)
        self._seen = phases.shape[1]
        # One period of `up` outputs: the last sample that each sees, counted from the period's first, and its taps.
        self._last, phase = np.divmod(np.arange(self._up) * self._down, self._up)
        self._taps = phases[phase]
        # The input that the filter still sees, in whole multiples of `down` so that outputs stay aligned.
        self._history = self._down * ceil(self._seen / self._down)
        self._pending = np.zeros(self._history, np.float32)

    @property
    def changes(self) -> bool:
        """Whether the two rates differ."""
        return self._up != self._down

    def process(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take (n,) samples, return all (m,) at the other rate that are complete by now."""
        if not self.changes:
            return samples
        pending = np.concatenate([self._pending, samples])
        periods = (pending.size - self._history) // self._down
        self._pending = pending[periods * self._down :]
        windows = sliding_window_view(pending, self._seen)
        first = self._history - self._seen + 1
        if self._up == 1:  # a view, where the other is a copy
            seen = windows[first : first + periods * self._down : self._down, None]
        else:
            seen = windows[first + np.arange(periods)[:, None] * self._down + self._last]
        filtered: NDArray[np.float32] = np.einsum("puk,uk->pu", seen, self._taps).reshape(-1)
        return filtered

    def rest(self) -> NDArray[np.float32]:
        """Return the samples (m,) that were not complete when the sound ended, as though silence followed."""
        if not self.changes:
            return np.empty(0, np.float32)
        waiting = self._pending.size - self._history
        return self.process(np.zeros(self._down, np.float32))[: round(waiting * self._up / self._down)]


class MonoResampler:
    """Channel mean, then resampling, from int16 to int16."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._channels = channels
        self._resampler = Resampler(sample_rate)

    def process(self, interleaved: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take (n * channels,) samples, return all (m,) mono samples at 16 kHz that are complete by now."""
        if self._channels == 1 and not self._resampler.changes:
            return interleaved
        mono = interleaved.reshape(-1, self._channels).mean(axis=1, dtype=np.float32)
        return as_int16(self._resampler.process(mono))

    def rest(self) -> NDArray[np.int16]:
        """Return the samples (m,) that were not complete when the sound ended, as though silence followed."""
        return as_int16(self._resampler.rest())


def as_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Round to the nearest; what is beyond 16 bits is cut off."""
    limits = np.iinfo(np.int16)
    rounded: NDArray[np.int16] = np.clip(np.rint(samples), limits.min, limits.max).astype(np.int16)
    return rounded


def _phases(up: int, down: int) -> NDArray[np.float32]:
    """Design the low-pass for rates in the ratio up / down: a sinc under a Hamming window, split by output phase.

    (up, taps of one phase), each in the order of the samples that it weighs.
    """
    slower = max(up, down)
    reach = _ZERO_CROSSINGS * slower
    taps = np.sinc(np.arange(-reach, reach + 1) * 0.95 / slower) * np.hamming(2 * reach + 1)
    taps *= up / taps.sum()
    padded = np.zeros(ceil(taps.size / up) * up)
    padded[: taps.size] = taps
    return np.ascontiguousarray(padded.reshape(-1, up)[::-1].T, np.float32)

"""Sound of any rate and channel count to mono at 16 kHz, block after block without seams."""

from __future__ import annotations

from math import ceil, gcd

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Hz; what every microphone delivers."""
_ZERO_CROSSINGS = 16
"""On each side of the low-pass filter's peak; more is steeper and slower."""


class MonoResampler:
    """Channel mean, then rational resampling by a polyphase low-pass FIR filter.

    The filter delays the sound by 16 samples of the slower rate (about 1 ms).
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        common = gcd(SAMPLE_RATE, sample_rate)
        self._channels = channels
        self._up = SAMPLE_RATE // common
        self._down = sample_rate // common
        self._taps = _low_pass(self._up, self._down)
        # The input that the filter still sees, in whole multiples of `down` so that outputs stay aligned.
        self._history = self._down * ceil(self._taps.size / self._up / self._down)
        self._pending = np.zeros(self._history, np.float32)

    def process(self, interleaved: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take (n * channels,) samples, give all (m,) mono samples at 16 kHz that are complete by now."""
        if self._up == self._down and self._channels == 1:
            return interleaved
        mono = interleaved.reshape(-1, self._channels).mean(axis=1, dtype=np.float32)
        return _as_int16(mono if self._up == self._down else self._resample(mono))

    def rest(self) -> NDArray[np.int16]:
        """Return the samples (m,) that were not complete when the sound ended, as though silence followed."""
        if self._up == self._down:
            return np.empty(0, np.int16)
        waiting = self._pending.size - self._history
        samples = self._resample(np.zeros(self._down, np.float32))
        return _as_int16(samples[: round(waiting * self._up / self._down)])

    def _resample(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        pending = np.concatenate([self._pending, samples])
        new = (pending.size - self._history) // self._down * self._down
        self._pending = pending[new:]
        from scipy.signal import upfirdn

        filtered = upfirdn(self._taps, pending[: self._history + new], self._up, self._down)
        start = self._history // self._down * self._up
        result: NDArray[np.float32] = filtered[start : start + new // self._down * self._up]
        return result


def _as_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    limits = np.iinfo(np.int16)
    rounded: NDArray[np.int16] = np.clip(np.rint(samples), limits.min, limits.max).astype(np.int16)
    return rounded


def _low_pass(up: int, down: int) -> NDArray[np.float32]:
    """Design the filter for rates in the ratio up / down; a single tap when they are equal."""
    if up == down:
        return np.ones(1, np.float32)
    # scipy.signal takes 50 MB of memory, and few boxes need it: most microphones give 16 kHz.
    from scipy.signal import firwin

    slower = max(up, down)
    taps: NDArray[np.float64] = firwin(2 * _ZERO_CROSSINGS * slower + 1, 0.95 / slower) * up
    return taps.astype(np.float32)

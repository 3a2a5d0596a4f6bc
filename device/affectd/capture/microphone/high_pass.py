"""A high-pass against a microphone's DC offset and against rumble, block after block without seams."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MOST = 2_048
"""Samples filtered at once: the pole's power must stay within the range of a float64."""


class HighPass:
    """Two equal first-order sections in a row: 6 dB down at `corner_hz`, then 12 dB for every octave below."""

    def __init__(self, corner_hz: float, sample_rate: int) -> None:
        """Prepare; a corner of 0 lets everything pass unchanged."""
        pole = np.exp(-2 * np.pi * corner_hz / sample_rate) if corner_hz else 0.0
        self._sections = [_Section(float(pole)) for _ in range(2)] if corner_hz else []

    def process(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Filter (n,) samples, which follow those before. The first block begins settled, without a click."""
        for section in self._sections:
            samples = section.process(samples)
        return samples


class _Section:
    """y = x minus the running mean of x, whose memory is `pole` a sample."""

    def __init__(self, pole: float) -> None:
        self._pole = pole
        self._powers = pole ** np.arange(1, _MOST + 1)
        self._mean = 0.0
        self._settled = False

    def process(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self._settled and samples.size:
            self._mean, self._settled = float(samples.mean()), True
        return np.concatenate([self._filter(part) for part in np.split(samples, range(_MOST, samples.size, _MOST))])

    def _filter(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The recursion m[n] = pole * m[n-1] + (1 - pole) * x[n], solved for all n at once."""
        if not samples.size:
            return samples
        powers = self._powers[: samples.size]
        means = powers * (self._mean + (1 - self._pole) * np.cumsum(samples / powers))
        self._mean = float(means[-1])
        filtered: NDArray[np.float32] = (samples - means).astype(np.float32)
        return filtered

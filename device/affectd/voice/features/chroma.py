"""Tuning, chroma and tonnetz of spectra, as librosa 0.11 has them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from affectd.voice.speech_frames import FloatArray

CHROMA = 12
TONNETZ = 6
_LOW_HZ, _HIGH_HZ, _PEAK = 150.0, 4000.0, 0.1
"""Peaks for the tuning are looked for between these, from a tenth of the frame's largest magnitude on."""
_A0_HZ = 440.0 / 16
_CENTRE_OCTAVE, _OCTAVE_WIDTH = 5.0, 2.0


def tuning_bins(sample_rate: int, fft_size: int) -> slice:
    """Return the bins among which peaks for the tuning are looked for."""
    hertz = np.linspace(0, sample_rate / 2, fft_size // 2 + 1)
    found = np.flatnonzero((hertz >= _LOW_HZ) & (hertz < min(_HIGH_HZ, sample_rate / 2)))
    return slice(int(found[0]), int(found[-1]) + 1)


def tuning_peaks(spectrum: FloatArray, bins: slice, bin_hz: float) -> tuple[FloatArray, FloatArray]:
    """Return frequencies and magnitudes (n, bins) of the peaks in magnitudes (n, all bins); 0 where there is none.

    As librosa.piptrack: each is where a parabola through three bins has its top (J. O. Smith, Spectral Audio Signal
    Processing).
    """
    # The neighbours of the outermost; what is beyond the spectrum's end is no peak.
    middle = spectrum[:, bins]
    before = spectrum[:, bins.start - 1 : bins.stop - 1]
    after = np.zeros_like(middle)
    after[:, : spectrum.shape[1] - 1 - bins.start] = spectrum[:, bins.start + 1 : bins.stop + 1]
    slope, bend = (after - before) / 2, after + before - 2 * middle
    shift = np.where(np.abs(slope) < np.abs(bend), -slope / np.where(bend == 0, 1, bend), 0)
    floor = _PEAK * spectrum.max(axis=1, keepdims=True)
    loud, left, right = (np.where(each > floor, each, 0) for each in (middle, before, after))
    peak = (loud > left) & (loud >= right)
    frequency = (np.arange(bins.start, bins.stop) + shift) * bin_hz
    return (
        np.where(peak, frequency, 0).astype(np.float32),
        np.where(peak, middle + 0.5 * slope * shift, 0).astype(np.float32),
    )


def estimate_tuning(frequencies: FloatArray, strengths: FloatArray) -> float:
    """Return how far a window's peaks (n, bins) are from A440's semitones, -0.5..0.5, in hundredths of one.

    As librosa.estimate_tuning: the most frequent deviation among the stronger half.
    """
    peaks = frequencies > 0
    if not peaks.any():
        return 0.0
    stronger = frequencies[peaks & (strengths >= np.median(strengths[peaks]))]
    deviation = np.mod(CHROMA * np.log2(stronger.astype(np.float64) / _A0_HZ), 1.0)
    deviation[deviation >= 0.5] -= 1.0
    counts, edges = np.histogram(deviation, np.linspace(-0.5, 0.5, 101))
    return float(edges[np.argmax(counts)])


@lru_cache(maxsize=8)
def chroma_filters(sample_rate: int, fft_size: int, tuning: float) -> FloatArray:
    """Return filters (fft_size // 2 + 1, 12) of pitch classes from C on, as librosa.filters.chroma has them."""
    hertz = np.linspace(0, sample_rate, fft_size, endpoint=False)[1:]
    place = CHROMA * np.log2(hertz / (_A0_HZ * 2 ** (tuning / CHROMA)))
    place = np.concatenate([[place[0] - 1.5 * CHROMA], place])
    width = np.concatenate([np.maximum(np.diff(place), 1.0), [1.0]])
    apart = place - np.arange(CHROMA)[:, np.newaxis]
    apart = np.remainder(apart + 10.5 * CHROMA, CHROMA) - CHROMA / 2
    bumps = np.exp(-0.5 * (2 * apart / width) ** 2)
    bumps /= np.linalg.norm(bumps, axis=0)
    bumps *= np.exp(-0.5 * ((place / CHROMA - _CENTRE_OCTAVE) / _OCTAVE_WIDTH) ** 2)
    return np.ascontiguousarray(np.roll(bumps, -3, axis=0)[:, : fft_size // 2 + 1].T, np.float32)


def chroma(spectrum: FloatArray, filters: FloatArray) -> FloatArray:
    """Return the pitch classes (n, 12) of magnitudes (n, bins), the strongest of each frame 1; silence has zeros."""
    classes = spectrum @ filters
    strongest = classes.max(axis=1, keepdims=True)
    return np.asarray(classes / np.where(strongest > np.finfo(np.float32).tiny, strongest, 1), np.float32)


def tonnetz(classes: FloatArray) -> FloatArray:
    """Return the tonal centroids (n, 6) of pitch classes (n, 12), after Harte and Sandler 2006."""
    total = classes.sum(axis=1, keepdims=True)
    shares = classes / np.where(total > np.finfo(np.float32).tiny, total, 1)
    return np.asarray(shares @ _centroids().astype(np.float32), np.float32)


def _centroids() -> NDArray[np.float64]:
    """Return the circles of fifths, minor and major thirds (12, 6), a sine and a cosine each."""
    steps = np.outer(np.arange(CHROMA), [7 / 6, 7 / 6, 3 / 2, 3 / 2, 2 / 3, 2 / 3])
    steps[:, ::2] -= 0.5
    return np.asarray(np.cos(np.pi * steps) * [1, 1, 1, 1, 0.5, 0.5], np.float64)

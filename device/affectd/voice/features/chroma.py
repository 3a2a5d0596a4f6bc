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
    """Return the peaks in magnitudes (n, all bins), by bin (n, bins): their deviations and magnitudes, 0 for no peak.

    A deviation is in semitones of A440's scale, -0.5..0.5. As librosa.piptrack: a peak is where a parabola through
    three bins has its top (J. O. Smith, Spectral Audio Signal Processing).
    """
    around = np.zeros((len(spectrum), bins.stop - bins.start + 2), np.float32)
    seen = spectrum[:, bins.start - 1 : bins.stop + 1]
    around[:, : seen.shape[1]] = seen
    loud = np.where(around > _PEAK * spectrum.max(axis=1, keepdims=True), around, 0)
    frame, at = np.nonzero((loud[:, 1:-1] > loud[:, :-2]) & (loud[:, 1:-1] >= loud[:, 2:]))
    before, middle, after = around[frame, at], around[frame, at + 1], around[frame, at + 2]
    slope, bend = (after - before) / 2, after + before - 2 * middle
    shift = np.where(np.abs(slope) < np.abs(bend), -slope / np.where(bend == 0, 1, bend), 0)
    semitones = CHROMA * np.log2((bins.start + at + shift) * bin_hz / _A0_HZ)
    deviations, magnitudes = (np.zeros((len(spectrum), bins.stop - bins.start), np.float32) for _ in range(2))
    deviations[frame, at] = np.mod(semitones + 0.5, 1.0) - 0.5
    magnitudes[frame, at] = middle + 0.5 * slope * shift
    return deviations, magnitudes


def estimate_tuning(deviations: FloatArray, magnitudes: FloatArray) -> float:
    """Return how far a window's peaks, as of `tuning_peaks`, are from A440's scale, in hundredths of a semitone.

    As librosa.estimate_tuning: the most frequent deviation among the stronger half.
    """
    peaks = magnitudes > 0
    if not peaks.any():
        return 0.0
    strength = magnitudes[peaks]
    stronger = deviations[peaks][strength >= np.median(strength)]
    counts, edges = np.histogram(stronger, np.linspace(-0.5, 0.5, 101))
    return float(edges[np.argmax(counts)])


@lru_cache(maxsize=32)
def chroma_filters(sample_rate: int, fft_size: int, tuning: float) -> FloatArray:
    """Return filters (fft_size // 2 + 1, 12) of pitch classes from C on, as librosa.filters.chroma has them."""
    hertz = np.arange(1, fft_size // 2 + 2) * (sample_rate / fft_size)
    place = CHROMA * np.log2(hertz / (_A0_HZ * 2 ** (tuning / CHROMA)))
    place = np.concatenate([[place[0] - 1.5 * CHROMA], place])
    width = np.maximum(np.diff(place), 1.0)
    place = place[:-1]
    apart = place - np.arange(CHROMA)[:, np.newaxis]
    apart = np.remainder(apart + 10.5 * CHROMA, CHROMA) - CHROMA / 2
    bumps = np.exp(-0.5 * (2 * apart / width) ** 2)
    bumps /= np.linalg.norm(bumps, axis=0)
    bumps *= np.exp(-0.5 * ((place / CHROMA - _CENTRE_OCTAVE) / _OCTAVE_WIDTH) ** 2)
    return np.ascontiguousarray(np.roll(bumps, -3, axis=0).T, np.float32)


def pitch_classes(spectrum: FloatArray, filters: FloatArray) -> FloatArray:
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

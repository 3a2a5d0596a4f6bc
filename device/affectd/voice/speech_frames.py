"""Frames of sound, 25 ms every 10 ms: pitch, voicing and level, computed once each as sound arrives.

Voice activity goes by them, whatever the voice model takes; the MFCC features carry them too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from affectd.resample import SAMPLE_RATE

FloatArray = NDArray[np.float32]
Real = TypeVar("Real", np.float32, np.float64)


@dataclass(frozen=True, kw_only=True)
class FrameSettings:
    """How sound is cut into frames, and their pitch found."""

    sample_rate: int = SAMPLE_RATE
    frame_s: float = 0.025
    hop_s: float = 0.010
    pitch_low_hz: float = 70.0
    pitch_high_hz: float = 500.0
    pitch_reference: float = 150.0
    pitch_window_s: float = 0.045
    voicing_threshold: float = 0.5

    @property
    def frame_length(self) -> int:
        """Samples in a frame."""
        return round(self.frame_s * self.sample_rate)

    @property
    def hop_length(self) -> int:
        """Samples from one frame to the next."""
        return round(self.hop_s * self.sample_rate)

    @property
    def pitch_length(self) -> int:
        """Samples the pitch is looked for in; centred on the frame."""
        return round(self.pitch_window_s * self.sample_rate)

    @property
    def lead(self) -> int:
        """Samples by which the pitch is looked for before the frame begins."""
        return (self.pitch_length - self.frame_length) // 2

    def samples_until(self, frame: int) -> int:
        """Return how many samples complete the frame of this number, counted from 0."""
        return frame * self.hop_length + self.pitch_length - self.lead


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """A run of n frames; arrays (n,) float32, one value per frame, but for the sound itself."""

    signal: NDArray[np.float64]
    """The sound in -1..1 that they are made of: a sample, for the pre-emphasis, then what their pitch windows span."""
    pitch: FloatArray
    """log2 of the pitch over `pitch_reference`; 0 where unvoiced."""
    voicing: FloatArray
    """Voicing strength, 0..1."""
    power_db: FloatArray
    """Mean square in dB of full scale, a microphone's constant offset included."""
    level_db: FloatArray
    """Level in dB of full scale, about the frame's mean: a microphone's constant offset is no sound."""

    def __len__(self) -> int:
        """Count the frames."""
        return len(self.level_db)


@dataclass
class SpeechFrameExtractor:
    """Frames out of a stream of samples, each computed once; any chunking yields the same frames."""

    settings: FrameSettings = field(default_factory=FrameSettings)
    _held: NDArray[np.float64] = field(init=False)
    """Samples still needed, the first one a predecessor for the pre-emphasis."""

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next sample is the first."""
        # Half a pitch window of silence stands before the first sample, so that its frame is centred too.
        self._held = np.zeros(1 + self.settings.lead)

    def extract(self, samples: NDArray[np.int16]) -> Frames:
        """Take the next samples (n,) int16; return the frames that are now complete."""
        spec = self.settings
        self._held = np.concatenate([self._held, samples / 32768.0])
        count = (len(self._held) - 1 - spec.pitch_length) // spec.hop_length + 1
        if count <= 0:
            none = np.zeros(0, np.float32)
            return Frames(np.zeros(0), none, none, none, none)
        signal = self._held[: 1 + (count - 1) * spec.hop_length + spec.pitch_length]
        self._held = self._held[count * spec.hop_length :]
        frames = strided(signal[1 + spec.lead :], spec.frame_length, spec.hop_length, count)
        pitch, voicing = self._pitch(strided(signal[1:], spec.pitch_length, spec.hop_length, count))
        power = np.mean(frames * frames, axis=1)
        swing = np.maximum(power - np.mean(frames, axis=1) ** 2, 0.0)
        columns = (pitch, voicing, _decibels(power), _decibels(swing))
        return Frames(signal, *(column.astype(np.float32) for column in columns))

    @cached_property
    def _lags(self) -> NDArray[np.int_]:
        """Periods among which the pitch is looked for, samples, and one more at either end."""
        spec = self.settings
        return np.arange(int(spec.sample_rate / spec.pitch_high_hz) - 1, int(spec.sample_rate / spec.pitch_low_hz) + 2)

    @cached_property
    def _pitch_fft(self) -> int:
        """Length of a transform that is long enough for the longest lag not to wrap round."""
        return _fast_length(self.settings.pitch_length + int(self._lags[-1]))

    @cached_property
    def _hanning(self) -> NDArray[np.float64]:
        return np.hanning(self.settings.pitch_length)

    @cached_property
    def _hann_correlation(self) -> NDArray[np.float64]:
        """Autocorrelation of the window at the lags, over that at none."""
        correlation = np.fft.irfft(power_of(np.fft.rfft(self._hanning, self._pitch_fft)))
        return np.asarray(correlation[self._lags] / correlation[0], np.float64)

    @cached_property
    def _octave_cost(self) -> NDArray[np.float64]:
        """A slight preference for short lags, which keeps the octave below from winning."""
        return np.asarray(0.02 * np.log2(self._lags[1:-1] / self._lags[1]), np.float64)

    def _pitch(self, frames: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pitch and voicing strength of (n, pitch_length).

        The autocorrelation of the windowed frame over that of the window (Boersma 1993): its highest
        peak between the pitch limits is the period, its height the voicing strength.
        """
        spec = self.settings
        centred = (frames - frames.mean(axis=1, keepdims=True)) * self._hanning
        correlation = np.fft.irfft(power_of(np.fft.rfft(centred, self._pitch_fft)))
        energy = correlation[:, :1] + 1e-9 * spec.pitch_length
        strength = correlation[:, self._lags[0] : self._lags[-1] + 1] / energy / self._hann_correlation
        before, peak, after = strength[:, :-2], strength[:, 1:-1], strength[:, 2:]
        ranked = peak - self._octave_cost
        ranked = np.where((peak >= before) & (peak > after), ranked, -1.0)
        best = np.argmax(ranked, axis=1)
        row = np.arange(len(frames))
        found = ranked[row, best] > -1.0
        before, peak, after = before[row, best], peak[row, best], after[row, best]
        bend = before - 2 * peak + after
        shift = np.where(bend < -1e-9, 0.5 * (before - after) / np.minimum(bend, -1e-9), 0.0)
        period = best + self._lags[1] + np.clip(shift, -0.5, 0.5)
        voicing = np.where(found, np.clip(peak, 0.0, 1.0), 0.0)
        octave = np.log2(spec.sample_rate / period / spec.pitch_reference)
        return np.where(voicing >= spec.voicing_threshold, octave, 0.0), voicing


def power_of(spectrum: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Return the squared magnitudes of a spectrum."""
    return np.asarray(spectrum.real**2 + spectrum.imag**2, np.float64)


def _fast_length(least: int) -> int:
    """Return the smallest even length from `least` on without a prime factor over 5: its transforms are quick."""
    length = least + least % 2
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 2


def _decibels(power: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(10 * np.log10(power + 1e-9), np.float64)


def strided(signal: NDArray[Real], length: int, hop: int, count: int) -> NDArray[Real]:
    """Return `count` frames (count, length) of a signal, one every `hop` samples: a view."""
    windows = np.lib.stride_tricks.sliding_window_view(signal, length)
    return windows[: (count - 1) * hop + 1 : hop]

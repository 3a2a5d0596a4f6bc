"""Speech features per 10 ms frame, MFCC, pitch and energy; training and the daemon share this file.

A frame is 25 ms, one every 10 ms. Static features are computed once per frame, as sound arrives, by
`FrameExtractor`; `VoiceFeatures.window` puts deltas and normalization on top for the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.errors import ModelError

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class VoiceFeatures:
    """How sound is brought to numbers; stands in the manifest of every voice bundle.

    A static frame is `mfcc` cepstra, then log2 of the pitch over `pitch_reference` (0 where unvoiced),
    then the voicing strength 0..1, then the level in dB of full scale.
    """

    sample_rate: int = 16_000
    frame_s: float = 0.025
    hop_s: float = 0.010
    preemphasis: float = 0.97
    filters: int = 40
    mfcc: int = 40
    lifter: int = 22
    low_hz: float = 20.0
    high_hz: float = 8_000.0
    power_floor: float = 1e-9
    """Added to each filter's power (samples in -1..1), so that digital silence stays finite."""
    pitch_low_hz: float = 70.0
    pitch_high_hz: float = 500.0
    pitch_reference: float = 150.0
    pitch_window_s: float = 0.045
    voicing_threshold: float = 0.5
    window_frames: int = 300
    """Frames the network sees: 3 s."""
    delta_span: int = 2
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    """Statistics of the training speakers, one per column of the window; empty: not normalized."""

    @classmethod
    def from_manifest(cls, values: Mapping[str, Any]) -> VoiceFeatures:
        """Read the manifest's `features`. Raises ModelError on an unknown key or statistics that do not fit."""
        try:
            arguments: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
            features = cls(**arguments)
        except TypeError as error:
            raise ModelError(f"manifest: voice features do not fit this affectd: {error}") from error
        if len(features.mean) != features.columns or len(features.std) != features.columns:
            raise ModelError(f"manifest: voice features need {features.columns} values in mean and in std")
        return features

    def to_manifest(self) -> dict[str, Any]:
        """Return the manifest's `features`."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

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

    def samples_until(self, frame: int) -> int:
        """Return how many samples complete the frame of this number, counted from 0."""
        return frame * self.hop_length + self.pitch_length - (self.pitch_length - self.frame_length) // 2

    @property
    def static_columns(self) -> int:
        """Values of a static frame."""
        return self.mfcc + 3

    @property
    def columns(self) -> int:
        """Values of a frame as the network sees it: static, then deltas of the cepstra."""
        return self.static_columns + self.mfcc

    def window(self, static: FloatArray) -> FloatArray:
        """Return the network's input (window_frames, columns) for static frames (n, static_columns).

        Takes the last `window_frames`; fewer are padded with zeros (the training mean) on the left.
        Deltas are the regression over +-delta_span frames of the HTK book, edges repeated.
        """
        static = static[-self.window_frames :]
        cepstra = static[:, : self.mfcc]
        span = self.delta_span
        padded = np.pad(cepstra, ((span, span), (0, 0)), mode="edge")
        count = len(static)
        delta = np.zeros_like(cepstra)
        for step in range(1, span + 1):
            delta += step * (padded[span + step : span + step + count] - padded[span - step : span - step + count])
        delta /= 2 * sum(step * step for step in range(1, span + 1))
        frames = np.concatenate([static, delta], axis=1)
        if self.mean:
            frames = (frames - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        out = np.zeros((self.window_frames, self.columns), np.float32)
        out[self.window_frames - count :] = frames
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """A run of n frames."""

    static: FloatArray
    """(n, static_columns)."""
    voicing: FloatArray
    """Voicing strength, (n,) 0..1."""
    level_db: FloatArray
    """Level (n,) in dB of full scale, about the frame's mean: a microphone's constant offset is no sound."""


@dataclass
class FrameExtractor:
    """Static frames out of a stream of samples, each computed once; any chunking gives the same frames."""

    features: VoiceFeatures
    _held: NDArray[np.float64] = field(init=False)
    """Samples still needed, the first one a predecessor for the pre-emphasis."""

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next sample is the first."""
        # Half a pitch window of silence stands before the first sample, so that its frame is centred too.
        self._held = np.zeros(1 + self._lead)

    @cached_property
    def _lead(self) -> int:
        return (self.features.pitch_length - self.features.frame_length) // 2

    def feed(self, samples: NDArray[np.int16]) -> FloatArray:
        """Take the next samples (n,) int16; give the static frames (m, static_columns) that are now complete."""
        return self.extract(samples).static

    def extract(self, samples: NDArray[np.int16]) -> Frames:
        """Take the next samples (n,) int16; return the frames that are now complete."""
        spec = self.features
        self._held = np.concatenate([self._held, samples / 32768.0])
        count = (len(self._held) - 1 - spec.pitch_length) // spec.hop_length + 1
        if count <= 0:
            none = np.zeros(0, np.float32)
            return Frames(np.zeros((0, spec.static_columns), np.float32), none, none)
        signal = self._held[: 1 + (count - 1) * spec.hop_length + spec.pitch_length]
        self._held = self._held[count * spec.hop_length :]
        frames = _strided(signal[1 + self._lead :], spec.frame_length, spec.hop_length, count)
        emphasized = signal[1:] - spec.preemphasis * signal[:-1]
        cepstra = self._cepstra(_strided(emphasized[self._lead :], spec.frame_length, spec.hop_length, count))
        pitch, voicing = self._pitch(_strided(signal[1:], spec.pitch_length, spec.hop_length, count))
        power = np.mean(frames * frames, axis=1)
        static = np.column_stack([cepstra, pitch, voicing, _decibels(power)]).astype(np.float32)
        swing = np.maximum(power - np.mean(frames, axis=1) ** 2, 0.0)
        return Frames(static, voicing.astype(np.float32), _decibels(swing).astype(np.float32))

    @cached_property
    def _filterbank(self) -> NDArray[np.float64]:
        return filterbank(self.features, self._fft_length)

    @cached_property
    def _cosines(self) -> NDArray[np.float64]:
        return liftered_cosines(self.features)

    @cached_property
    def _hamming(self) -> NDArray[np.float64]:
        return np.hamming(self.features.frame_length)

    @property
    def _fft_length(self) -> int:
        return 1 << (self.features.frame_length - 1).bit_length()

    def _cepstra(self, frames: NDArray[np.float64]) -> NDArray[np.float64]:
        """MFCC of (n, frame_length) as python_speech_features defines them, with a floor under the power."""
        spectrum = _power(np.fft.rfft(frames * self._hamming, self._fft_length)) / self._fft_length
        power = spectrum @ self._filterbank + self.features.power_floor
        return np.asarray(np.log(power) @ self._cosines, np.float64)

    @cached_property
    def _lags(self) -> NDArray[np.int_]:
        """Periods among which the pitch is looked for, samples, and one more at either end."""
        spec = self.features
        return np.arange(int(spec.sample_rate / spec.pitch_high_hz) - 1, int(spec.sample_rate / spec.pitch_low_hz) + 2)

    @cached_property
    def _pitch_fft(self) -> int:
        """Length of a transform that is long enough for the longest lag not to wrap round."""
        return _fast_length(self.features.pitch_length + int(self._lags[-1]))

    @cached_property
    def _hanning(self) -> NDArray[np.float64]:
        return np.hanning(self.features.pitch_length)

    @cached_property
    def _hann_correlation(self) -> NDArray[np.float64]:
        """Autocorrelation of the window at the lags, over that at none."""
        correlation = np.fft.irfft(_power(np.fft.rfft(self._hanning, self._pitch_fft)))
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
        spec = self.features
        centred = (frames - frames.mean(axis=1, keepdims=True)) * self._hanning
        correlation = np.fft.irfft(_power(np.fft.rfft(centred, self._pitch_fft)))
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


def filterbank(spec: VoiceFeatures, fft_length: int) -> NDArray[np.float64]:
    """Return the triangular mel filters (fft_length // 2 + 1, filters), those of python_speech_features.

    mel = 2595 log10(1 + Hz / 700); a filter rises from its left neighbour's centre to its own and falls to the right
    one's, in whole bins.
    """
    low, high = (2595 * np.log10(1 + hz / 700.0) for hz in (spec.low_hz, spec.high_hz))
    centres = 700 * (10 ** (np.linspace(low, high, spec.filters + 2) / 2595.0) - 1)
    bins = np.floor((fft_length + 1) * centres / spec.sample_rate)
    bank = np.zeros((fft_length // 2 + 1, spec.filters))
    for j, (left, middle, right) in enumerate(zip(bins, bins[1:], bins[2:], strict=False)):
        rise, fall = np.arange(int(left), int(middle)), np.arange(int(middle), int(right))
        bank[rise, j] = (rise - left) / (middle - left)
        bank[fall, j] = (right - fall) / (right - middle)
    return bank


def liftered_cosines(spec: VoiceFeatures) -> NDArray[np.float64]:
    """Return what turns log powers (n, filters) into cepstra (n, mfcc): an orthonormal DCT-II, times the lifter."""
    order = np.arange(spec.mfcc)
    cosines = np.cos(np.pi / spec.filters * np.outer(np.arange(spec.filters) + 0.5, order)) * np.sqrt(2 / spec.filters)
    cosines[:, 0] /= np.sqrt(2)
    lift = 1 + spec.lifter / 2 * np.sin(np.pi * order / spec.lifter) if spec.lifter > 0 else np.ones(spec.mfcc)
    return np.asarray(cosines * lift, np.float64)


def _power(spectrum: NDArray[np.complex128]) -> NDArray[np.float64]:
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


def _strided(signal: NDArray[np.float64], length: int, hop: int, count: int) -> NDArray[np.float64]:
    windows = np.lib.stride_tricks.sliding_window_view(signal, length)
    return windows[: (count - 1) * hop + 1 : hop]

"""Features of kind "mfcc": per 10 ms frame MFCC, pitch, voicing and level, and the deltas of the MFCC.

A frame is 25 ms, one every 10 ms. Static features are computed once per frame, as sound arrives, by
`MfccExtractor`; `MfccFeatures.window` puts deltas and normalization on top for the network.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from affectd.resample import SAMPLE_RATE, Resampler, as_int16
from affectd.voice.features.kind import FeatureStream, Ranges, VoiceFeatures
from affectd.voice.speech_frames import (
    FloatArray,
    Frames,
    FrameSettings,
    SpeechFrameExtractor,
    power_of,
    strided,
)


@dataclass(frozen=True, kw_only=True)
class MfccFeatures(FrameSettings, VoiceFeatures):
    """What affectd's own voice model takes; (window_frames, columns).

    A static frame is `mfcc` cepstra, then log2 of the pitch over `pitch_reference` (0 where unvoiced),
    then the voicing strength 0..1, then the level in dB of full scale.
    """

    kind: ClassVar[str] = "mfcc"
    statistics_needed: ClassVar[bool] = True
    preemphasis: float = 0.97
    filters: int = 40
    mfcc: int = 40
    lifter: int = 22
    low_hz: float = 20.0
    high_hz: float = 8_000.0
    power_floor: float = 1e-9
    """Added to each filter's power (samples in -1..1), so that digital silence stays finite."""
    window_frames: int = 300
    """Frames the network sees: 3 s."""
    delta_span: int = 2

    def to_manifest(self) -> dict[str, Any]:
        """Return the manifest's `features`; `kind` is left out, as manifests had none when there was but one."""
        values = super().to_manifest()
        del values["kind"]
        return values

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the network's input, without the batch axis."""
        return (self.window_frames, self.columns)

    @property
    def window_s(self) -> float:
        """Seconds of sound that the network sees."""
        return self.window_frames * self.hop_s

    @property
    def shortest_s(self) -> float:
        """Seconds of sound that complete a frame."""
        return self.samples_until(0) / self.sample_rate

    @property
    def statistics(self) -> tuple[int, ...]:
        """How many values `mean` and `std` may have."""
        return (self.columns,)

    def ranges(self) -> Ranges:
        """Return what is allowed of the parameters."""
        half = f"at most half of sample_rate, {self.sample_rate / 2:g}"
        period_s = 1 / self.pitch_low_hz if self.pitch_low_hz > 0 else 0.0
        return [
            ("window_frames", self.window_frames >= 1, "1 or more"),
            ("delta_span", self.delta_span >= 1, "1 or more"),
            ("frame_s", self.frame_length >= 1, "a sample or more"),
            ("hop_s", self.hop_length >= 1, "a sample or more"),
            ("mfcc", 1 <= self.mfcc <= self.filters, "1 or more, and at most as many as filters"),
            ("high_hz", self.high_hz <= self.sample_rate / 2, half),
            ("low_hz", 0 <= self.low_hz < self.high_hz, "0 or more, and below high_hz"),
            ("pitch_high_hz", self.pitch_high_hz <= self.sample_rate / 2, half),
            ("pitch_low_hz", 0 < self.pitch_low_hz < self.pitch_high_hz, "above 0, and below pitch_high_hz"),
            ("pitch_window_s", self.pitch_window_s >= self.frame_s, "frame_s or more"),
            ("pitch_window_s", self.pitch_window_s > period_s, f"longer than a period of pitch_low_hz, {period_s:.3g}"),
        ]

    def stream(self) -> MfccStream:
        """Return a new stream of these features."""
        return MfccStream(self)

    @property
    def frame_settings(self) -> FrameSettings:
        """Return the parameters of framing alone."""
        return FrameSettings(**{each.name: getattr(self, each.name) for each in fields(FrameSettings)})

    @property
    def pitch_column(self) -> int:
        """Column of log2 of the pitch over `pitch_reference`; 0 where unvoiced."""
        return self.mfcc

    @property
    def voicing_column(self) -> int:
        """Column of the voicing strength, 0..1."""
        return self.mfcc + 1

    @property
    def level_column(self) -> int:
        """Column of the level in dB of full scale."""
        return self.mfcc + 2

    @property
    def static_columns(self) -> int:
        """Values of a static frame."""
        return self.mfcc + 3

    @property
    def columns(self) -> int:
        """Values of a frame as the network sees it: static, then deltas of the cepstra."""
        return self.static_columns + self.mfcc

    def with_deltas(self, static: FloatArray) -> FloatArray:
        """Return frames (n, columns) for static frames (n, static_columns).

        Deltas are the regression over +-delta_span frames of the HTK book, edges repeated.
        """
        if not len(static):
            return np.zeros((0, self.columns), np.float32)
        cepstra = static[:, : self.mfcc]
        span = self.delta_span
        padded = np.pad(cepstra, ((span, span), (0, 0)), mode="edge")
        count = len(static)
        delta = np.zeros_like(cepstra)
        for step in range(1, span + 1):
            delta += step * (padded[span + step : span + step + count] - padded[span - step : span - step + count])
        delta /= 2 * sum(step * step for step in range(1, span + 1))
        return np.concatenate([static, delta], axis=1)

    def window(self, static: FloatArray) -> FloatArray:
        """Return the network's input (window_frames, columns) for static frames (n, static_columns).

        Takes the last `window_frames`; fewer are padded with zeros (the training mean) on the left.
        """
        static = static[-self.window_frames :]
        out = np.zeros((self.window_frames, self.columns), np.float32)
        out[self.window_frames - len(static) :] = self.normalized(self.with_deltas(static))
        return out


@dataclass
class MfccExtractor:
    """Static frames out of a stream of samples, each computed once; any chunking yields the same frames."""

    features: MfccFeatures
    _frames: SpeechFrameExtractor = field(init=False)

    def __post_init__(self) -> None:
        self._frames = SpeechFrameExtractor(self.features)

    def feed(self, samples: NDArray[np.int16]) -> FloatArray:
        """Take the next samples (n,) int16; return the static frames (m, static_columns) that are now complete."""
        return self.static(self._frames.extract(samples))

    def static(self, frames: Frames) -> FloatArray:
        """Return the static frames (n, static_columns) of speech frames."""
        spec, count, signal = self.features, len(frames), frames.signal
        static = np.empty((count, spec.static_columns), np.float32)
        if count:
            emphasized = signal[1:] - spec.preemphasis * signal[:-1]
            static[:, : spec.mfcc] = self._cepstra(
                strided(emphasized[spec.lead :], spec.frame_length, spec.hop_length, count)
            )
            static[:, spec.pitch_column] = frames.pitch
            static[:, spec.voicing_column] = frames.voicing
            static[:, spec.level_column] = frames.power_db
        return static

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
        spectrum = power_of(np.fft.rfft(frames * self._hamming, self._fft_length)) / self._fft_length
        power = spectrum @ self._filterbank + self.features.power_floor
        return np.asarray(np.log(power) @ self._cosines, np.float64)


class MfccStream(FeatureStream):
    """The newest frames of a stream; their MFCC are computed when they are first asked for: in silence, never."""

    def __init__(self, features: MfccFeatures) -> None:
        self._features = features
        self._extractor = MfccExtractor(features)
        # Frames cut as voice activity has them are not computed twice.
        self._own = None if features.frame_settings == FrameSettings() else SpeechFrameExtractor(features)
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next sample is the first."""
        if self._own is not None:
            self._own.reset()
        self._resampler = Resampler(SAMPLE_RATE, self._features.sample_rate)
        self._static = np.zeros((0, self._features.static_columns), np.float32)
        self._pending: deque[Frames] = deque()
        self._pending_frames = 0

    def push(self, samples: NDArray[np.int16], frames: Frames) -> None:
        """Take the next samples (n,) int16 at 16 kHz, and the speech frames that they complete."""
        if self._own is not None:
            samples = as_int16(self._resampler.process(samples.astype(np.float32)))
            frames = self._own.extract(samples)
        self._pending.append(frames)
        self._pending_frames += len(frames)
        while self._pending_frames - len(self._pending[0]) >= self._features.window_frames:
            self._pending_frames -= len(self._pending.popleft())

    def values(self) -> FloatArray:
        """Return the newest sound's frames (n, columns), neither padded nor normalized."""
        return self._features.with_deltas(self._newest())

    def window(self) -> FloatArray:
        """Return the network's input (window_frames, columns) for the newest sound."""
        return self._features.window(self._newest())

    def _newest(self) -> FloatArray:
        """Return the newest static frames (n, static_columns), computing those that are new."""
        new = [self._extractor.static(each) for each in self._pending]
        self._pending.clear()
        self._pending_frames = 0
        self._static = np.concatenate([self._static, *new])[-self._features.window_frames :]
        return self._static


def filterbank(spec: MfccFeatures, fft_length: int) -> NDArray[np.float64]:
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


def liftered_cosines(spec: MfccFeatures) -> NDArray[np.float64]:
    """Return what turns log powers (n, filters) into cepstra (n, mfcc): an orthonormal DCT-II, times the lifter."""
    order = np.arange(spec.mfcc)
    cosines = np.cos(np.pi / spec.filters * np.outer(np.arange(spec.filters) + 0.5, order)) * np.sqrt(2 / spec.filters)
    cosines[:, 0] /= np.sqrt(2)
    lift = 1 + spec.lifter / 2 * np.sin(np.pi * order / spec.lifter) if spec.lifter > 0 else np.ones(spec.mfcc)
    return np.asarray(cosines * lift, np.float64)

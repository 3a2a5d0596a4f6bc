"""Features of kind "log-mel": the logarithm of mel-filtered spectra, as librosa's melspectrogram has them.

Each frame is computed once, when the first network input that holds it is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from affectd.voice.features.kind import FeatureStream, Ranges, VoiceFeatures
from affectd.voice.features.spectrum import PendingFrames, hann, magnitudes, mel_filters
from affectd.voice.speech_frames import FloatArray, Frames

SCALES = ("slaney", "htk")
LOGS = ("db", "ln", "log10")
FLOORS = ("least", "added")
REFERENCES = ("full scale", "loudest")


@dataclass(frozen=True, kw_only=True)
class LogMelFeatures(VoiceFeatures):
    """A picture of sound, (window_frames, filters), the newest frame last; shorter sound follows on silence.

    A frame is computed from whole samples only: librosa's are those of `center=False`. With `center=True` they are
    the same but for its first and last, which see zeros beyond the sound's ends.
    """

    kind: ClassVar[str] = "log-mel"
    frame_s: float = 0.025
    hop_s: float = 0.010
    fft_size: int = 512
    """Samples of the transform; a shorter frame is padded with zeros."""
    filters: int = 64
    low_hz: float = 0.0
    high_hz: float = 8_000.0
    mel_scale: str = "slaney"
    """'slaney', librosa's default, or 'htk', torchaudio's."""
    even_area: bool = True
    """Filters of the same area, librosa's norm='slaney'; otherwise of the same height, torchaudio's default."""
    power: int = 2
    """2: filters are summed over the power of the spectrum; 1: over its magnitude."""
    log: str = "db"
    """'db' is 10 log10; 'ln'; 'log10'."""
    power_floor: float = 1e-10
    floor: str = "least"
    """'least': what is less than `power_floor` is taken for it; 'added': it is added, as in log(x + 1e-6)."""
    reference: str = "full scale"
    """'loudest': the window's largest value is 0, librosa's ref=np.max."""
    range_db: float = 0.0
    """What is more than this below the window's largest value is raised to it, librosa's top_db; 0: nothing is."""
    window_frames: int = 300
    filters_first: bool = False
    """The input is (filters, window_frames), as librosa's arrays are."""

    @property
    def frame_length(self) -> int:
        """Samples in a frame."""
        return round(self.frame_s * self.sample_rate)

    @property
    def hop_length(self) -> int:
        """Samples from one frame to the next."""
        return round(self.hop_s * self.sample_rate)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the network's input, without the batch axis."""
        frames_first = (self.window_frames, self.filters)
        return frames_first[::-1] if self.filters_first else frames_first

    @property
    def window_s(self) -> float:
        """Seconds of sound that the network sees."""
        return ((self.window_frames - 1) * self.hop_length + self.frame_length) / self.sample_rate

    @property
    def shortest_s(self) -> float:
        """Seconds of sound that complete a frame."""
        return self.frame_length / self.sample_rate

    @property
    def statistics(self) -> tuple[int, ...]:
        """How many values `mean` and `std` may have."""
        return (1, self.filters)

    def ranges(self) -> Ranges:
        """Return what is allowed of the parameters."""
        half = f"at most half of sample_rate, {self.sample_rate / 2:g}"
        return [
            ("frame_s", self.frame_length >= 2, "two samples or more"),
            ("hop_s", self.hop_length >= 1, "a sample or more"),
            ("fft_size", self.fft_size >= self.frame_length, f"at least a frame, {self.frame_length} samples"),
            ("filters", 1 <= self.filters <= self.fft_size, "1 or more, and at most fft_size"),
            ("high_hz", self.high_hz <= self.sample_rate / 2, half),
            ("low_hz", 0 <= self.low_hz < self.high_hz, "0 or more, and below high_hz"),
            ("mel_scale", self.mel_scale in SCALES, f"one of {', '.join(SCALES)}"),
            ("power", self.power in {1, 2}, "1 or 2"),
            ("log", self.log in LOGS, f"one of {', '.join(LOGS)}"),
            ("power_floor", self.power_floor > 0, "above 0"),
            ("floor", self.floor in FLOORS, f"one of {', '.join(FLOORS)}"),
            ("reference", self.reference in REFERENCES, f"one of {', '.join(REFERENCES)}"),
            ("range_db", self.range_db >= 0, "0 or more"),
            ("window_frames", self.window_frames >= 1, "1 or more"),
        ]

    def stream(self) -> LogMelStream:
        """Return a new stream of these features."""
        return LogMelStream(self)

    def logarithm(self, mel: FloatArray) -> FloatArray:
        """Return the logarithm of the filters' sums (n, filters) of a window."""
        least = np.float32(self.power_floor)
        logs = np.log10(mel + least if self.floor == "added" else np.maximum(mel, least))
        if logs.size and (self.reference == "loudest" or self.range_db):
            loudest = logs.max()
            if self.range_db:
                logs = np.maximum(logs, loudest - np.float32(self.range_db / 10))
            if self.reference == "loudest":
                logs = logs - loudest
        scale = {"db": 10.0, "ln": float(np.log(10)), "log10": 1.0}[self.log]
        return np.asarray(logs * np.float32(scale), np.float32)


class LogMelStream(FeatureStream):
    """The newest frames of a stream."""

    def __init__(self, features: LogMelFeatures) -> None:
        self._features = features
        self._pending = PendingFrames(
            features.sample_rate, features.frame_length, features.hop_length, features.window_frames
        )
        self._hann = hann(features.frame_length)
        self._filters = mel_filters(
            sample_rate=features.sample_rate,
            fft_size=features.fft_size,
            filters=features.filters,
            low_hz=features.low_hz,
            high_hz=features.high_hz,
            scale=features.mel_scale,
            even_area=features.even_area,
        )
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next sample is the first."""
        self._pending.reset()
        self._mel = np.zeros((0, self._features.filters), np.float32)

    def push(self, samples: NDArray[np.int16], frames: Frames) -> None:  # noqa: ARG002 (it cuts its own)
        """Take the next samples (n,) int16 at 16 kHz."""
        self._pending.push(samples)

    def values(self) -> FloatArray:
        """Return the newest sound's frames (n, filters), neither padded nor normalized."""
        return self._features.logarithm(self._newest())

    def window(self) -> FloatArray:
        """Return the network's input for the newest sound."""
        spec, newest = self._features, self._newest()
        mel = np.zeros((spec.window_frames, spec.filters), np.float32)
        mel[spec.window_frames - len(newest) :] = newest
        frames = spec.normalized(spec.logarithm(mel))
        return np.ascontiguousarray(frames.T) if spec.filters_first else frames

    def _newest(self) -> FloatArray:
        """Return the filters' sums (n, filters) for the newest frames, computing those that are new."""
        new = self._pending.take()
        if len(new):
            spectrum = magnitudes(new, self._hann, self._features.fft_size)
            mel = (spectrum if self._features.power == 1 else spectrum * spectrum) @ self._filters
            self._mel = np.concatenate([self._mel, mel])[-self._features.window_frames :]
        return self._mel

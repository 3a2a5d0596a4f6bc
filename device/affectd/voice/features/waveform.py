"""Features of kind "waveform": the samples themselves, for networks with filters of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from affectd.voice.features.kind import FeatureStream, Ranges, VoiceFeatures
from affectd.voice.features.spectrum import Sound
from affectd.voice.speech_frames import FloatArray, Frames

VARIANCE_FLOOR = 1e-7
"""Added to a window's variance, as wav2vec 2.0's feature extractor does."""


@dataclass(frozen=True, kw_only=True)
class WaveformFeatures(VoiceFeatures):
    """The newest samples, (samples,) in -scale..scale; shorter sound has zeros on its left."""

    kind: ClassVar[str] = "waveform"
    samples: int = 48_000
    """That the network sees, at `sample_rate`."""
    scale: float = 1.0
    """Of full scale: 1 for sound in -1..1, 32768 for 16-bit numbers."""
    standardize: bool = False
    """Each window to mean 0 and variance 1, as wav2vec 2.0 has it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the network's input, without the batch axis."""
        return (self.samples,)

    @property
    def window_s(self) -> float:
        """Seconds of sound that the network sees."""
        return self.samples / self.sample_rate

    @property
    def shortest_s(self) -> float:
        """Seconds of a sample."""
        return 1 / self.sample_rate

    @property
    def statistics(self) -> tuple[int, ...]:
        """How many values `mean` and `std` may have."""
        return (1,)

    def ranges(self) -> Ranges:
        """Return what is allowed of the parameters."""
        return [
            ("samples", self.samples >= 1, "1 or more"),
            ("scale", self.scale > 0, "above 0"),
            ("mean", not (self.mean and self.standardize), "left out where standardize is true"),
        ]

    def stream(self) -> WaveformStream:
        """Return a new stream of these features."""
        return WaveformStream(self)


class WaveformStream(FeatureStream):
    """The newest samples of a stream."""

    def __init__(self, features: WaveformFeatures) -> None:
        self._features = features
        self._sound = Sound(features.sample_rate)

    def reset(self) -> None:
        """Forget the stream: the next sample is the first."""
        self._sound.reset()

    def push(self, samples: NDArray[np.int16], frames: Frames) -> None:  # noqa: ARG002 (it takes the samples)
        """Take the next samples (n,) int16 at 16 kHz."""
        self._sound.push(samples)
        self._sound.drop(max(0, len(self._sound.samples) - self._features.samples))

    def values(self) -> FloatArray:
        """Return the newest samples (n, 1), neither padded nor normalized."""
        return (self._sound.samples * np.float32(self._features.scale))[:, np.newaxis]

    def window(self) -> FloatArray:
        """Return the network's input (samples,) for the newest sound."""
        spec, sound = self._features, self.values()[:, 0]
        if spec.standardize and len(sound):
            sound = (sound - sound.mean()) / np.sqrt(sound.var() + np.float32(VARIANCE_FLOOR))
        out = np.zeros(spec.samples, np.float32)
        out[spec.samples - len(sound) :] = sound
        return spec.normalized(out)

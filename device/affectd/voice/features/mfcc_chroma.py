"""Features of kind "mfcc-chroma": one vector for a window, the means of what librosa computes for each frame."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from affectd.voice.features.chroma import (
    CHROMA,
    TONNETZ,
    chroma_filters,
    estimate_tuning,
    pitch_classes,
    tonnetz,
    tuning_bins,
    tuning_peaks,
)
from affectd.voice.features.kind import FeatureStream, Ranges, VoiceFeatures
from affectd.voice.features.spectrum import Sound, hann, magnitudes, mel_filters
from affectd.voice.speech_frames import FloatArray, Frames, strided

PARTS = ("mfcc", "chroma", "mel", "contrast", "tonnetz")
POWER_FLOOR, RANGE_DB = 1e-10, 80.0
"""Of librosa.power_to_db: least power, and what is more than this below the window's largest is raised to it."""
CONTRAST_LOW_HZ, CONTRAST_OCTAVES, CONTRAST_SHARE = 200.0, 6, 0.02
"""Of librosa.feature.spectral_contrast: end of the first band, bands above it, and the share of its bins that are peak
or valley."""


@dataclass(frozen=True, kw_only=True)
class MfccChromaFeatures(VoiceFeatures):
    """Means over the newest sound, one value per column; with mel the 193 values of many RAVDESS notebooks.

    `mfcc` are librosa.feature.mfcc's, `mel` melspectrogram's, `chroma` chroma_stft's and `contrast`
    spectral_contrast's of `S=np.abs(librosa.stft(y))`, `tonnetz` that of this chroma.
    """

    kind: ClassVar[str] = "mfcc-chroma"
    parts: tuple[str, ...] = ("mfcc", "chroma", "contrast", "tonnetz")
    """Which of mfcc, chroma, mel, contrast and tonnetz, in the order of the network's input."""
    fft_size: int = 2048
    hop_length: int = 512
    """Samples from one frame to the next."""
    mfcc: int = 40
    filters: int = 128
    """Mel filters, of `mel` and for `mfcc`."""
    window_s: float = 3.0
    """Seconds of sound that the network sees; shorter sound is taken as it is."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the network's input, without the batch axis."""
        return (self.columns,)

    @property
    def columns(self) -> int:
        """Values of the vector."""
        sizes = {
            "mfcc": self.mfcc,
            "chroma": CHROMA,
            "mel": self.filters,
            "contrast": CONTRAST_OCTAVES + 1,
            "tonnetz": TONNETZ,
        }
        return sum(sizes[part] for part in self.parts)

    @property
    def shortest_s(self) -> float:
        """Seconds of sound that fill half a frame, of which librosa makes one."""
        return self.fft_size / 2 / self.sample_rate

    @property
    def statistics(self) -> tuple[int, ...]:
        """How many values `mean` and `std` may have."""
        return (1, self.columns)

    def ranges(self) -> Ranges:
        """Return what is allowed of the parameters."""
        known = bool(self.parts) and set(self.parts) <= set(PARTS) and len(set(self.parts)) == len(self.parts)
        top_hz = CONTRAST_LOW_HZ * 2 ** (CONTRAST_OCTAVES - 1)
        too_low = "contrast" in self.parts and self.sample_rate / 2 <= top_hz
        too_coarse = "contrast" in self.parts and self.sample_rate / self.fft_size > CONTRAST_LOW_HZ / 2
        return [
            ("parts", known, f"one or more of {', '.join(PARTS)}, each once"),
            ("sample_rate", not too_low, f"above {2 * top_hz:g} for contrast"),
            ("fft_size", 256 <= self.fft_size <= 65_536 and self.fft_size % 2 == 0, "even, in 256..65536"),
            ("fft_size", not too_coarse, "a hundredth of sample_rate or more for contrast"),
            ("hop_length", 1 <= self.hop_length <= self.fft_size, "1 or more, and at most fft_size"),
            ("filters", 1 <= self.filters <= self.fft_size, "1 or more, and at most fft_size"),
            ("mfcc", 1 <= self.mfcc <= self.filters, "1 or more, and at most as many as filters"),
            ("window_s", self.window_s * self.sample_rate >= self.fft_size, "as long as fft_size or longer"),
        ]

    def stream(self) -> MfccChromaStream:
        """Return a new stream of these features."""
        return MfccChromaStream(self)


class MfccChromaStream(FeatureStream):
    """The newest sound of a stream.

    It begins at a multiple of `hop_length`, so that frames which lie wholly in two windows are computed once. The
    others, around its ends, see zeros beyond them, as librosa's.
    """

    def __init__(self, features: MfccChromaFeatures) -> None:
        self._features = features
        self._sound = Sound(features.sample_rate)
        self._size = round(features.window_s * features.sample_rate)
        self._rows = _Rows(features)
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next sample is the first."""
        self._sound.reset()
        self._begin = 0
        """Frames before the one that is centred on the sound's first sample."""
        self._known = np.zeros((0, self._rows.width), np.float32)
        """Rows of frames that lie wholly in the sound of the last window."""
        self._known_from = 0
        """Number of the first of them, counted as `_begin`."""

    def push(self, samples: NDArray[np.int16], frames: Frames) -> None:  # noqa: ARG002 (it cuts its own)
        """Take the next samples (n,) int16 at 16 kHz."""
        self._sound.push(samples)
        hops = -((self._size - len(self._sound.samples)) // self._features.hop_length)
        if hops > 0:
            self._sound.drop(hops * self._features.hop_length)
            self._begin += hops

    def values(self) -> FloatArray:
        """Return the newest sound's vector (1, columns), not normalized."""
        return np.asarray(self._rows.means(self._newest())[np.newaxis], np.float32)

    def window(self) -> FloatArray:
        """Return the network's input (columns,) for the newest sound."""
        return np.asarray(self._features.normalized(self.values())[0], np.float32)

    def _newest(self) -> FloatArray:
        """Return the rows (n, width) of the newest sound's frames."""
        spec, sound = self._features, self._sound.samples
        half, hop = spec.fft_size // 2, spec.hop_length
        count = 1 + len(sound) // hop
        frames = strided(np.pad(sound, half), spec.fft_size, hop, count)
        first = -(-half // hop)
        whole = slice(first, max(first, (len(sound) - half) // hop + 1))
        known_from = self._known_from - self._begin
        known = slice(max(first, known_from), max(first, known_from + len(self._known)))
        rows = np.empty((count, self._rows.width), np.float32)
        new = np.ones(count, np.bool_)
        new[known] = False
        rows[known] = self._known[len(self._known) - (known.stop - known.start) :]
        rows[new] = self._rows.of(frames[new])
        self._known, self._known_from = rows[whole], first + self._begin
        return rows


class _Rows:
    """What is kept of a frame: a row of its magnitudes, mel powers, and peaks; as much of it as the parts need."""

    def __init__(self, features: MfccChromaFeatures) -> None:
        self._features = features
        rate, size, parts = features.sample_rate, features.fft_size, set(features.parts)
        self._hann = hann(size)
        self._filters = mel_filters(
            sample_rate=rate,
            fft_size=size,
            filters=features.filters,
            low_hz=0.0,
            high_hz=rate / 2,
            scale="slaney",
            even_area=True,
        )
        self._tuning_bins = tuning_bins(rate, size)
        self._bands = _contrast_bands(rate, size) if "contrast" in parts else []
        tuned = self._tuning_bins.stop - self._tuning_bins.start if parts & {"chroma", "tonnetz"} else 0
        widths = {
            "spectrum": size // 2 + 1 if tuned else 0,
            "deviations": tuned,
            "strengths": tuned,
            "mel": features.filters if parts & {"mfcc", "mel"} else 0,
            "valleys": len(self._bands),
            "peaks": len(self._bands),
        }
        ends = np.cumsum(list(widths.values())).tolist()
        self._at = {name: slice(end - width, end) for (name, width), end in zip(widths.items(), ends, strict=True)}
        self._cosines = _cosines(features.filters, features.mfcc)
        self.width: int = ends[-1]

    def of(self, frames: FloatArray) -> FloatArray:
        """Return the rows (n, width) of frames (n, fft_size)."""
        spec, at = self._features, self._at
        rows = np.empty((len(frames), self.width), np.float32)
        spectrum = magnitudes(frames, self._hann, spec.fft_size)
        if rows[:, at["spectrum"]].size:
            rows[:, at["spectrum"]] = spectrum
            bin_hz = spec.sample_rate / spec.fft_size
            rows[:, at["deviations"]], rows[:, at["strengths"]] = tuning_peaks(spectrum, self._tuning_bins, bin_hz)
        if rows[:, at["mel"]].size:
            rows[:, at["mel"]] = (spectrum * spectrum) @ self._filters
        for number, (band, count) in enumerate(self._bands):
            ordered = np.sort(spectrum[:, band], axis=1)
            rows[:, at["valleys"].start + number] = ordered[:, :count].mean(axis=1)
            rows[:, at["peaks"].start + number] = ordered[:, -count:].mean(axis=1)
        return rows

    def means(self, rows: FloatArray) -> FloatArray:
        """Return the vector (columns,) of a window's rows (n, width)."""
        parts: dict[str, FloatArray] = {}
        mel, spectrum = rows[:, self._at["mel"]], rows[:, self._at["spectrum"]]
        if mel.size:
            parts["mel"] = mel.mean(axis=0)
            parts["mfcc"] = _decibels(mel).mean(axis=0) @ self._cosines
        if spectrum.size:
            tuning = estimate_tuning(rows[:, self._at["deviations"]], rows[:, self._at["strengths"]])
            filters = chroma_filters(self._features.sample_rate, self._features.fft_size, tuning)
            classes = pitch_classes(spectrum, filters)
            parts["chroma"], parts["tonnetz"] = classes.mean(axis=0), tonnetz(classes).mean(axis=0)
        if self._bands:
            contrast = _decibels(rows[:, self._at["peaks"]]) - _decibels(rows[:, self._at["valleys"]])
            parts["contrast"] = contrast.mean(axis=0)
        return np.concatenate([parts[name] for name in self._features.parts]).astype(np.float32)


def _decibels(values: FloatArray) -> FloatArray:
    """Return librosa.power_to_db of a window's values."""
    decibels = 10 * np.log10(np.maximum(values, np.float32(POWER_FLOOR)))
    return np.asarray(np.maximum(decibels, decibels.max() - np.float32(RANGE_DB)), np.float32)


def _cosines(filters: int, mfcc: int) -> FloatArray:
    """Return an orthonormal DCT-II (filters, mfcc)."""
    cosines = np.cos(np.pi / filters * np.outer(np.arange(filters) + 0.5, np.arange(mfcc))) * np.sqrt(2 / filters)
    cosines[:, 0] /= np.sqrt(2)
    return np.asarray(cosines, np.float32)


def _contrast_bands(sample_rate: int, fft_size: int) -> list[tuple[slice, int]]:
    """Return the bins of each band, and how many of them are its peak and its valley."""
    hertz = np.linspace(0, sample_rate / 2, fft_size // 2 + 1)
    edges = [0.0, *(CONTRAST_LOW_HZ * 2.0**octave for octave in range(CONTRAST_OCTAVES + 1))]
    bands = []
    for number, (low, high) in enumerate(pairwise(edges)):
        inside = np.flatnonzero((hertz >= low) & (hertz <= high))
        # librosa's bands share a bin with the one below, and lose their last; the highest goes up to the end.
        first, last = int(inside[0]) - (number > 0), int(inside[-1]) + 1
        if number == CONTRAST_OCTAVES:
            last = len(hertz)
        count = max(1, int(np.rint(CONTRAST_SHARE * (last - first))))
        bands.append((slice(first, last if number == CONTRAST_OCTAVES else last - 1), count))
    return bands

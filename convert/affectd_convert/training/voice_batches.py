"""Batches of augmented speech: windows as the daemon sees them, features by the device's own code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, resample_poly

from affectd.events import VOICE_LABELS
from affectd.voice.features import FrameExtractor, VoiceFeatures
from affectd_convert.datasets.speech import Utterance, read_samples

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class VoiceAugmentation:
    """How far a training clip is moved away from its recording."""

    gain_db: float = 8.0
    noise_share: float = 0.5
    noise_snr_db: tuple[float, float] = (5.0, 35.0)
    reverb_share: float = 0.3
    reverb_s: tuple[float, float] = (0.1, 0.5)
    """Decay time (RT60) of the synthetic room."""
    speeds: tuple[tuple[int, int], ...] = ((9, 10), (19, 20), (1, 1), (1, 1), (21, 20), (11, 10))
    """Resampling ratios (speed and pitch together), one drawn per clip."""
    shortest_s: float = 1.0
    """A window holds between this and 3 s of sound; the rest is padding on the left."""
    full_share: float = 0.6
    """Share of windows that are as long as the network sees."""
    masks: int = 2
    """Spectral masking (Park et al. 2019): bands of cepstra and stretches of time set to the mean."""
    label_smoothing: float = 0.1


@dataclass(frozen=True, eq=False)
class Sound:
    """One clip in memory."""

    samples: NDArray[np.int16]
    label: int
    corpus: str


def load(clips: Sequence[Utterance], sample_rate: int = 16_000) -> list[Sound]:
    """Read clips into memory (16 kHz mono). Raises DataError naming the one that cannot be read."""
    return [Sound(read_samples(clip.path, sample_rate), clip.label, clip.corpus) for clip in clips]


def fit_normalization(features: VoiceFeatures, sounds: Sequence[Sound]) -> VoiceFeatures:
    """Give `features` with mean and deviation of every column over all frames of `sounds`."""
    bare = replace(features, mean=(), std=())
    count, total, squares = 0, np.zeros(bare.columns), np.zeros(bare.columns)
    for sound in sounds:
        static = FrameExtractor(bare).feed(sound.samples)
        if not len(static):
            continue
        frames = replace(bare, window_frames=len(static)).window(static).astype(np.float64)
        count += len(frames)
        total += frames.sum(axis=0)
        squares += (frames * frames).sum(axis=0)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean * mean, 1e-6))
    return replace(features, mean=tuple(round(float(v), 5) for v in mean), std=tuple(round(float(v), 5) for v in std))


@dataclass(frozen=True, kw_only=True)
class VoiceBatches:
    """All training batches of one epoch, made on demand and reproducibly."""

    sounds: Sequence[Sound]
    features: VoiceFeatures
    augmentation: VoiceAugmentation
    batch_size: int
    seed: int
    epoch: int

    def __len__(self) -> int:
        """Count the batches; the last incomplete one is left out."""
        return len(self.sounds) // self.batch_size

    def __getitem__(self, index: int) -> Batch:
        """Give inputs (batch, window_frames, columns) and target distributions (batch, 8)."""
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.sounds))
        rows = order[index * self.batch_size : (index + 1) * self.batch_size]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        inputs = np.stack([self._window(self.sounds[row], rng) for row in rows])
        smooth = self.augmentation.label_smoothing
        hard = np.eye(len(VOICE_LABELS), dtype=np.float32)[[self.sounds[row].label for row in rows]]
        return inputs, np.asarray(hard * (1 - smooth) + smooth / len(VOICE_LABELS), np.float32)

    def _window(self, sound: Sound, rng: np.random.Generator) -> NDArray[np.float32]:
        spec, how = self.features, self.augmentation
        full = rng.random() < how.full_share
        seconds = spec.window_frames * spec.hop_s
        length = round((seconds if full else rng.uniform(how.shortest_s, seconds)) * spec.sample_rate)
        start = int(rng.integers(0, max(len(sound.samples) - length, 0) + 1))
        samples = augment(sound.samples[start : start + length], how, spec.sample_rate, rng)
        return self._mask(spec.window(FrameExtractor(spec).feed(samples)), rng)

    def _mask(self, window: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        for _ in range(self.augmentation.masks):
            start, length = rng.integers(0, window.shape[0]), rng.integers(0, 40)
            window[start : start + length] = 0
            first, bands = rng.integers(0, self.features.mfcc), rng.integers(0, 6)
            window[:, first : first + bands] = 0
        return window


def augment(
    samples: NDArray[np.int16], how: VoiceAugmentation, sample_rate: int, rng: np.random.Generator
) -> NDArray[np.int16]:
    """Change speed and pitch, room, noise and gain of a clip (n,) int16; the length may change."""
    sound = samples.astype(np.float32)
    up, down = how.speeds[int(rng.integers(len(how.speeds)))]
    if up != down:
        sound = resample_poly(sound, up, down).astype(np.float32)
    if rng.random() < how.reverb_share:
        sound = fftconvolve(sound, _room(rng.uniform(*how.reverb_s), sample_rate, rng))[: len(sound)]
    if rng.random() < how.noise_share:
        level = float(np.sqrt(np.mean(sound * sound)) + 1e-3) * 10 ** (-rng.uniform(*how.noise_snr_db) / 20)
        sound = sound + level * _coloured_noise(len(sound), rng)
    sound = sound * 10 ** (rng.uniform(-how.gain_db, how.gain_db) / 20)
    return np.asarray(np.clip(sound, -32768, 32767), np.int16)


def _room(decay_s: float, sample_rate: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Make a room's impulse response: the direct sound, then noise that decays by 60 dB in `decay_s`."""
    times = np.arange(int(decay_s * sample_rate)) / sample_rate
    response = rng.standard_normal(len(times)) * 10 ** (-3 * times / decay_s) * 0.05
    response[0] = 1.0
    return np.asarray(response / np.sqrt(np.sum(response * response)), np.float32)


def _coloured_noise(length: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Make noise of unit power whose spectrum falls by 0 to 12 dB an octave."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    spectrum *= np.maximum(np.arange(len(spectrum)), 1.0) ** -rng.uniform(0.0, 1.0)
    noise = np.fft.irfft(spectrum, length)
    return np.asarray(noise / (noise.std() + 1e-12), np.float32)


def centred_windows(sounds: Sequence[Sound], features: VoiceFeatures) -> Batch:
    """Give the middle window of each clip, and hard labels one-hot, for validation."""
    windows = []
    for sound in sounds:
        static = FrameExtractor(features).feed(sound.samples)
        start = max(len(static) - features.window_frames, 0) // 2
        windows.append(features.window(static[start : start + features.window_frames]))
    return np.stack(windows), np.eye(len(VOICE_LABELS), dtype=np.float32)[[sound.label for sound in sounds]]

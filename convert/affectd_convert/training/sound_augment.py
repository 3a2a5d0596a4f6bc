"""Augmentation of speech: speed and pitch, rooms, microphones, telephones, noises and gain.

The robustness table (`evaluation/robustness/voices.py`) makes its own: a network is not judged on noises of the kind's
own making.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, resample_poly

Samples = NDArray[np.int16]
FloatArray = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class SoundAugmentation:
    """How far a clip is moved away from its recording; shares of clips in 0..1."""

    speeds: tuple[tuple[int, int], ...] = ((9, 10), (19, 20), (1, 1), (1, 1), (21, 20), (11, 10))
    """Resampling ratios (speed and pitch together), one drawn per clip."""
    reverb_share: float = 0.35
    reverb_s: tuple[float, float] = (0.1, 0.8)
    """Decay time (RT60) of the synthetic room."""
    colour_share: float = 0.4
    colour_db: float = 8.0
    """A microphone's frequency response lies within this of flat."""
    telephone_share: float = 0.08
    noise_share: float = 0.6
    noise_snr_db: tuple[float, float] = (0.0, 30.0)
    babble: float = 0.4
    """Of the noises, the share that is other people talking; the rest is coloured noise, from hiss to a fan."""
    gain_db: tuple[float, float] = (-18.0, 8.0)


def augment(
    samples: Samples,
    how: SoundAugmentation,
    *,
    sample_rate: int,
    crowd: Sequence[Samples],
    rng: np.random.Generator,
) -> Samples:
    """Return a changed copy of a clip (n,) int16; its length changes with its speed.

    `crowd` are clips of people who are in nobody's validation data: babble is made of them.
    """
    sound = samples.astype(np.float32)
    up, down = how.speeds[int(rng.integers(len(how.speeds)))]
    if up != down:
        sound = resample_poly(sound, up, down).astype(np.float32)
    if rng.random() < how.reverb_share:
        sound = fftconvolve(sound, room(rng.uniform(*how.reverb_s), sample_rate, rng))[: len(sound)]
    if rng.random() < how.noise_share:
        talking = bool(crowd) and rng.random() < how.babble
        noise = babble(len(sound), crowd, rng) if talking else coloured_noise(len(sound), rng)
        level = float(np.sqrt(np.mean(sound * sound)) + 1e-3) * 10 ** (-rng.uniform(*how.noise_snr_db) / 20)
        sound = sound + level * noise
    if rng.random() < how.colour_share:
        sound = coloured(sound, how.colour_db, rng)
    if rng.random() < how.telephone_share:
        sound = telephone(sound, sample_rate)
    sound = sound * 10 ** (rng.uniform(*how.gain_db) / 20)
    return np.asarray(np.clip(sound, -32768, 32767), np.int16)


def room(decay_s: float, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Make a room's impulse response: the direct sound, then noise that decays by 60 dB in `decay_s`."""
    times = np.arange(int(decay_s * sample_rate)) / sample_rate
    response = rng.standard_normal(len(times)) * 10 ** (-3 * times / decay_s) * 0.05
    response[0] = 1.0
    return np.asarray(response / np.sqrt(np.sum(response * response)), np.float32)


def coloured_noise(length: int, rng: np.random.Generator) -> FloatArray:
    """Make noise of unit power whose spectrum falls by 0 (hiss) to 12 dB an octave (a fan)."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    spectrum *= np.maximum(np.arange(len(spectrum)), 1.0) ** -rng.uniform(0.0, 2.0)
    return _of_unit_power(np.fft.irfft(spectrum, length))


def babble(length: int, crowd: Sequence[Samples], rng: np.random.Generator) -> FloatArray:
    """Make babble of unit power: three to six clips at once, each at a place of its own."""
    total = np.zeros(length, np.float32)
    for index in rng.integers(0, len(crowd), int(rng.integers(3, 7))):
        voice = crowd[index].astype(np.float32)
        repeated = np.tile(voice, length // len(voice) + 2)
        start = int(rng.integers(len(voice)))
        total += repeated[start : start + length] / (float(np.sqrt(np.mean(voice * voice))) + 1.0)
    return _of_unit_power(total)


def coloured(sound: FloatArray, within_db: float, rng: np.random.Generator) -> FloatArray:
    """Pass a sound through a microphone: a smooth random frequency response within +-`within_db`."""
    spectrum = np.fft.rfft(sound)
    points = rng.uniform(-within_db, within_db, 8)
    response_db = np.interp(np.linspace(0, 1, len(spectrum)) ** 0.5, np.linspace(0, 1, len(points)), points)
    return np.asarray(np.fft.irfft(spectrum * 10 ** (response_db / 20), len(sound)), np.float32)


def telephone(sound: FloatArray, sample_rate: int) -> FloatArray:
    """Leave the telephone's band (ITU-T G.712), 300 to 3400 Hz, of a sound."""
    spectrum = np.fft.rfft(sound)
    frequency = np.fft.rfftfreq(len(sound), 1 / sample_rate)
    spectrum[(frequency < 300) | (frequency > 3400)] *= 1e-3
    return np.asarray(np.fft.irfft(spectrum, len(sound)), np.float32)


def _of_unit_power(noise: NDArray[Any]) -> FloatArray:
    return np.asarray(noise / (noise.std() + 1e-12), np.float32)

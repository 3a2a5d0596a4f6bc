"""Clips in adverse conditions: babble and fan noise, reverberation, the telephone band."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt

Sound = NDArray[np.float64]
"""(n,) mono, full scale at 1."""

SNRS_DB = (20, 10, 5, 0)
REVERBERATION_S = (0.3, 0.6)
BABBLE_VOICES = 6
ACTIVE_DB = 30.0
"""Speech is where the level is at most this far below the clip's loudest frame; pauses do not count for the SNR."""
FAN_LOW_HZ, FAN_HIGH_HZ = 40.0, 150.0
"""A fan's noise is flat between these and falls by 12 dB an octave above."""
ROOM_M3, DISTANCE_M, DIRECTIVITY = 50.0, 1.0, 2.0
"""A living room, and a talker who faces the microphone."""
TELEPHONE_HZ = (300.0, 3400.0)
TELEPHONE_RATE = 8000
MU = 255.0


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What a condition may draw from."""

    sample_rate: int
    others: Sequence[NDArray[np.int16]]
    """Clips of other speakers, for babble."""


Condition = Callable[[Sound, Surroundings, np.random.Generator], Sound]


def conditions() -> dict[str, Condition]:
    """Return every condition by what the table calls it, in the table's order."""
    named: dict[str, Condition] = {}
    for snr in SNRS_DB:
        named[f"babble, {snr} dB SNR"] = _noisy(babble, snr)
    for snr in SNRS_DB:
        named[f"fan, {snr} dB SNR"] = _noisy(fan, snr)
    for seconds in REVERBERATION_S:
        named[f"reverberation, RT60 {seconds} s"] = _reverberant(seconds)
    named["telephone, 300-3400 Hz, mu-law"] = telephone
    return named


def worsened(
    samples: NDArray[np.int16], condition: Condition, around: Surroundings, rng: np.random.Generator
) -> NDArray[np.int16]:
    """Return a clip (n,) as it sounds under `condition`, as long as it was; quieter where it would clip."""
    sound = condition(samples / 32768.0, around, rng)
    sound = sound / max(1.0, float(np.abs(sound).max(initial=0.0)))
    return np.asarray(np.clip(np.rint(sound * 32768.0), -32768, 32767), np.int16)


def babble(length: int, around: Surroundings, rng: np.random.Generator) -> Sound:
    """Return `length` samples of BABBLE_VOICES others speaking at once, equally loud."""
    total = np.zeros(length)
    for row in rng.integers(0, len(around.others), BABBLE_VOICES):
        voice = around.others[row] / 32768.0
        start = int(rng.integers(0, len(voice)))
        total += np.resize(np.roll(voice, -start), length) / max(speech_level(voice, around.sample_rate), 1e-6)
    return total


def fan(length: int, around: Surroundings, rng: np.random.Generator) -> Sound:
    """Return `length` samples of low-frequency noise as a fan's or an air conditioner's."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    hz = np.fft.rfftfreq(length, 1 / around.sample_rate)
    gain = np.where(hz < FAN_LOW_HZ, 0.0, np.minimum(1.0, (FAN_HIGH_HZ / np.maximum(hz, 1.0)) ** 2))
    return np.asarray(np.fft.irfft(spectrum * gain, length))


def room(decay_s: float, sample_rate: int, rng: np.random.Generator) -> Sound:
    """Make a room's impulse response: the direct sound, then noise that decays by 60 dB in `decay_s`.

    Exponentially decaying noise after Polack 1988; its energy against the direct sound's is the squared
    distance over the squared critical distance, 0.01 Q V / (pi RT60) (Kuttruff, Room Acoustics).
    """
    times = np.arange(1, round(decay_s * sample_rate)) / sample_rate
    tail = rng.standard_normal(len(times)) * 10 ** (-3 * times / decay_s)
    critical = 0.01 * DIRECTIVITY * ROOM_M3 / (np.pi * decay_s)
    tail *= DISTANCE_M / np.sqrt(critical * np.sum(tail * tail))
    return np.concatenate([[1.0], tail])


def telephone(sound: Sound, around: Surroundings, rng: np.random.Generator) -> Sound:  # noqa: ARG001
    """Return a clip as a telephone line brings it: 300-3400 Hz, 8 kHz, 8 bit mu-law (ITU-T G.711)."""
    rate = around.sample_rate
    divisor = int(np.gcd(rate, TELEPHONE_RATE))
    narrow = resample_poly(sound, TELEPHONE_RATE // divisor, rate // divisor)
    band = sosfilt(butter(4, TELEPHONE_HZ, "bandpass", fs=TELEPHONE_RATE, output="sos"), narrow)
    band = np.clip(band, -1.0, 1.0)
    coded = np.rint(127 * np.sign(band) * np.log1p(MU * np.abs(band)) / np.log1p(MU)) / 127
    decoded = np.sign(coded) * np.expm1(np.abs(coded) * np.log1p(MU)) / MU
    return np.asarray(resample_poly(decoded, rate // divisor, TELEPHONE_RATE // divisor)[: len(sound)])


def speech_level(sound: Sound, sample_rate: int) -> float:
    """Return the RMS of a clip's 25 ms frames within ACTIVE_DB of its loudest one; 0 for silence."""
    size = round(0.025 * sample_rate)
    count = max(1, len(sound) // size)
    powers = np.array([np.mean(frame * frame) for frame in np.array_split(sound, count)])
    return float(np.sqrt(powers[powers >= powers.max() * 10 ** (-ACTIVE_DB / 10)].mean()))


def _noisy(noise: Callable[[int, Surroundings, np.random.Generator], Sound], snr_db: float) -> Condition:
    def condition(sound: Sound, around: Surroundings, rng: np.random.Generator) -> Sound:
        added = noise(len(sound), around, rng)
        level = speech_level(sound, around.sample_rate) * 10 ** (-snr_db / 20)
        return sound + added * level / max(float(np.sqrt(np.mean(added * added))), 1e-9)

    return condition


def _reverberant(decay_s: float) -> Condition:
    def condition(sound: Sound, around: Surroundings, rng: np.random.Generator) -> Sound:
        return np.asarray(fftconvolve(sound, room(decay_s, around.sample_rate, rng))[: len(sound)])

    return condition

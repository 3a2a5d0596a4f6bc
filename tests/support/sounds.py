"""Sounds of a room in which nobody speaks, made by program: (n,) float64 at 16,000 Hz, peak 0.5."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, sosfilt

RATE = 16_000

Samples = NDArray[np.float64]
Sound = Callable[[float, np.random.Generator], Samples]


def as_int16(samples: Samples) -> NDArray[np.int16]:
    """Return (n,) samples of -1..1 as a microphone would, cut off at full scale."""
    return np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)


def times(seconds: float) -> Samples:
    return np.arange(round(seconds * RATE)) / RATE


def harmonics(pitch: Samples | float, seconds: float, amplitudes: list[float]) -> Samples:
    """Return a tone of this pitch in Hz, one amplitude a harmonic."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(pitch, times(seconds).shape)) / RATE
    return np.sum([a * np.sin((k + 1) * phase) for k, a in enumerate(amplitudes)], axis=0)


def band(low: float, high: float, seconds: float, rng: np.random.Generator) -> Samples:
    """Return noise between these frequencies in Hz."""
    sos = butter(2, (low, high), "bandpass", fs=RATE, output="sos")
    return np.asarray(sosfilt(sos, rng.standard_normal(len(times(seconds)))))


def placed(events: list[tuple[float, Samples]], seconds: float) -> Samples:
    """Return the events (start in seconds, samples) added up."""
    out = np.zeros(len(times(seconds)))
    for start, event in events:
        at = round(start * RATE)
        part = event[: max(0, len(out) - at)]
        out[at : at + len(part)] += part
    return out


def decay(seconds: float, half_life: float) -> Samples:
    return 0.5 ** (times(seconds) / half_life)


# Steady noise.


def white(seconds: float, rng: np.random.Generator) -> Samples:
    return rng.standard_normal(len(times(seconds)))


def pink(seconds: float, rng: np.random.Generator) -> Samples:
    spectrum = np.fft.rfft(white(seconds, rng))
    return np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 1), len(times(seconds)))


def fan(seconds: float, rng: np.random.Generator) -> Samples:
    """Return a fan: noise below 500 Hz."""
    return np.asarray(sosfilt(butter(2, 500, fs=RATE, output="sos"), white(seconds, rng)))


def rumble(seconds: float, rng: np.random.Generator) -> Samples:
    return np.asarray(sosfilt(butter(2, 150, fs=RATE, output="sos"), white(seconds, rng)))


def hum(seconds: float, rng: np.random.Generator) -> Samples:
    """Return a transformer's hum, with a little noise."""
    return harmonics(100, seconds, [1 / k for k in range(1, 9)]) + 0.02 * white(seconds, rng)


# What changes.


def beeps(seconds: float, rng: np.random.Generator) -> Samples:
    """Return an alarm clock's four beeps a second, a square wave."""
    tone = np.sign(np.sin(2 * np.pi * 1000 * times(seconds)))
    return tone * (times(seconds) % 0.25 < 0.1) * (times(seconds) % 2 < 1) + 0.002 * white(seconds, rng)


def smoke_alarm(seconds: float, rng: np.random.Generator) -> Samples:
    on = (times(seconds) % 1.5 < 0.5) | ((times(seconds) % 1.5 > 0.6) & (times(seconds) % 1.5 < 1.1))
    return harmonics(3100, seconds, [1.0, 0.3]) * on + 0.002 * white(seconds, rng)


def reversing_lorry(seconds: float, rng: np.random.Generator) -> Samples:
    tone = harmonics(620, seconds, [1, 0.6, 0.4, 0.3, 0.2, 0.2])
    return tone * (times(seconds) % 1.0 < 0.5) + 0.1 * rumble(seconds, rng)


def siren(seconds: float, rng: np.random.Generator) -> Samples:
    """Return a siren that wails, then yelps."""
    rate = np.where(times(seconds) % 10 < 6, 0.25, 3.0)
    sweep = 0.5 - 0.5 * np.cos(2 * np.pi * np.cumsum(rate) / RATE)
    return harmonics(500 + 1000 * sweep, seconds, [1, 0.5, 0.3, 0.2]) + 0.01 * white(seconds, rng)


def two_tone_horn(seconds: float, rng: np.random.Generator) -> Samples:
    pitch = np.where(times(seconds) % 1.2 < 0.6, 435.0, 580.0)
    return harmonics(pitch, seconds, [1, 0.9, 0.7, 0.5, 0.4, 0.3, 0.2, 0.2]) + 0.01 * white(seconds, rng)


def applause(seconds: float, rng: np.random.Generator) -> Samples:
    """Return thirty people who clap, each at a pace and with hands of their own."""
    events = []
    for _ in range(30):
        low, pace = rng.uniform(600, 1800), rng.uniform(3, 5)
        clap = band(low, 2.2 * low, 0.08, rng) * decay(0.08, rng.uniform(0.003, 0.01))
        starts = np.arange(rng.uniform(0, 0.3), seconds, 1 / pace)
        events += [(start + abs(rng.normal(0, 0.02)), clap * rng.uniform(0.3, 1)) for start in starts]
    return placed(events, seconds)


def dog(seconds: float, rng: np.random.Generator) -> Samples:
    """Return barks, each a falling pitch in two formants, and growling between them."""
    events = []
    for start in np.arange(0.5, seconds, 2.5):
        for bark in range(int(rng.integers(1, 4))):
            long = rng.uniform(0.12, 0.25)
            shape = np.sin(np.pi * times(long) / long) ** 0.5
            pitch = rng.uniform(350, 700) * (1 + 0.4 * np.sin(np.pi * times(long) / long))
            source = harmonics(pitch, long, [1 / (1 + k) ** 0.5 for k in range(9)]) + 0.7 * white(long, rng)
            formant = butter(1, (500, 1900), "bandpass", fs=RATE, output="sos")
            events.append((start + 0.4 * bark, np.asarray(sosfilt(formant, source)) * shape))
    return placed(events, seconds) + 0.002 * white(seconds, rng)


def vacuum_cleaner(seconds: float, rng: np.random.Generator) -> Samples:
    """Return a vacuum cleaner that is moved to and fro: a motor's whine in noise."""
    stroke = 1 + 0.25 * np.sin(2 * np.pi * 0.5 * times(seconds))
    motor = harmonics(240 * (1 + 0.03 * stroke), seconds, [1, 0.8, 0.3, 0.6, 0.2, 0.3, 0.1, 0.2])
    return motor * 0.5 + stroke * (band(200, 5000, seconds, rng) * 1.5 + 0.2 * white(seconds, rng))


def keyboard(seconds: float, rng: np.random.Generator) -> Samples:
    """Return somebody's typing: clicks of press and release."""
    events, at = [], 0.3
    while at < seconds:
        for delay, loud in ((0.0, 1.0), (rng.uniform(0.06, 0.1), 0.4)):
            click = band(rng.uniform(400, 1500), 6000, 0.03, rng) * decay(0.03, 0.004)
            events.append((at + delay, loud * rng.uniform(0.5, 1) * click))
        at += rng.gamma(4, 0.045) if rng.random() < 0.95 else rng.uniform(0.5, 2)
    return placed(events, seconds) + 0.005 * white(seconds, rng)


def organ(seconds: float, rng: np.random.Generator) -> Samples:
    """Return slow chords of an organ, four pipes a note."""
    events = []
    for start in np.arange(0, seconds, 1.5):
        root = 110 * 2 ** (rng.integers(0, 12) / 12)
        for third in (1, 2 ** (rng.choice([3, 4]) / 12), 2 ** (7 / 12), 2):
            note = harmonics(root * third, 1.5, [1, 0.7, 0.1, 0.6, 0, 0.2, 0, 0.4])
            events.append((start, note * np.minimum(1, np.minimum(times(1.5), 1.5 - times(1.5)) / 0.05)))
    return placed(events, seconds)


def doorbell(seconds: float, rng: np.random.Generator) -> Samples:
    """Return ding-dong, and now and then a buzzer."""
    events = []
    for count, start in enumerate(np.arange(0.5, seconds, 4)):
        for delay, pitch in ((0.0, 660.0), (0.7, 528.0)):
            bars = [(1, 1.0, 0.4), (2.76, 0.5, 0.15), (5.4, 0.2, 0.05)]
            bell = sum(harmonics(r * pitch, 2, [a]) * decay(2, half) for r, a, half in bars)
            events.append((start + delay, np.asarray(bell)))
        if count % 2:
            events.append((start + 2.4, harmonics(120, 0.8, [1 / k for k in range(1, 30)])))
    return placed(events, seconds) + 0.002 * white(seconds, rng)


def telephone(seconds: float, rng: np.random.Generator) -> Samples:
    """Return a bell that rings twenty times a second, two seconds of every four."""
    ring = (harmonics(1300, seconds, [1, 0.2]) + harmonics(1650, seconds, [1, 0.2])) * decay(seconds, 1e9)
    strike = 0.5 ** ((times(seconds) % 0.05) / 0.03)
    return ring * strike * (times(seconds) % 4 < 2) + 0.002 * white(seconds, rng)


def knocking(seconds: float, rng: np.random.Generator) -> Samples:
    """Return knocks at a door, and a slam."""
    events = []
    for start in np.arange(0.5, seconds, 3):
        for knock in range(4):
            events.append((start + 0.22 * knock, band(80, 600, 0.12, rng) * decay(0.12, 0.015)))
        events.append((start + 1.7, 2 * band(40, 1500, 0.5, rng) * decay(0.5, 0.05)))
    return placed(events, seconds) + 0.003 * white(seconds, rng)


def plucked(pitch: float, seconds: float, rng: np.random.Generator) -> Samples:
    """Return a plucked string (Karplus and Strong 1983)."""
    period = round(RATE / pitch)
    feedback = np.zeros(period + 2)
    feedback[0], feedback[period], feedback[period + 1] = 1.0, -0.498, -0.498
    pluck = np.zeros(len(times(seconds)))
    pluck[:period] = rng.uniform(-1, 1, period)
    return np.asarray(lfilter([1.0], feedback, pluck))


def guitar(seconds: float, rng: np.random.Generator) -> Samples:
    """Return broken chords on a plucked string."""
    events = []
    for start in np.arange(0, seconds, 0.25):
        root = (110, 98, 131, 147)[int(start / 2) % 4]
        events.append((start, plucked(root * rng.choice([1, 1.5, 2, 2.5, 3]), 1.2, rng)))
    return placed(events, seconds)


def band_music(seconds: float, rng: np.random.Generator) -> Samples:
    """Return drums, a bass and a lead with vibrato, which is what is most like a voice."""
    beat, events = 0.5, []
    for count, start in enumerate(np.arange(0, seconds, beat)):
        kick = np.sin(2 * np.pi * (50 + 80 * decay(0.3, 0.03)) * times(0.3)) * decay(0.3, 0.06)
        snare = band(200, 5000, 0.2, rng) * decay(0.2, 0.03)
        events.append((start, 1.5 * (snare if count % 2 else kick)))
        events.append((start, 0.7 * plucked((55, 49, 65, 73)[count // 4 % 4], beat, rng)))
        for half in (0.0, beat / 2):
            note = 220 * 2 ** (rng.choice([0, 2, 3, 5, 7, 10, 12]) / 12)
            vibrato = note * (1 + 0.01 * np.sin(2 * np.pi * 6 * times(beat / 2)))
            lead = harmonics(vibrato, beat / 2, [1 / k for k in range(1, 9)])
            events.append((start + half, 0.4 * lead * np.minimum(1, times(beat / 2)[::-1] / 0.03)))
    return placed(events, seconds)


STEADY: dict[str, Sound] = {
    "white noise": white,
    "pink noise": pink,
    "fan": fan,
    "rumble": rumble,
    "hum": hum,
}
CHANGING: dict[str, Sound] = {
    "beeps": beeps,
    "smoke alarm": smoke_alarm,
    "reversing lorry": reversing_lorry,
    "siren": siren,
    "two-tone horn": two_tone_horn,
    "applause": applause,
    "dog": dog,
    "vacuum cleaner": vacuum_cleaner,
    "keyboard": keyboard,
    "organ": organ,
    "doorbell": doorbell,
    "telephone": telephone,
    "knocking": knocking,
    "guitar": guitar,
    "band": band_music,
}


def sound(kind: str, seconds: float, seed: int = 0) -> Samples:
    """Return so many seconds of a kind of STEADY or CHANGING."""
    samples = (STEADY | CHANGING)[kind](seconds, np.random.default_rng(seed))
    return samples * 0.5 / np.max(np.abs(samples))

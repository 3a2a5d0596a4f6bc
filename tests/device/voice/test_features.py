"""Speech features: the same however sound arrives, MFCC as python_speech_features has them, true pitch."""

import numpy as np
import pytest
from python_speech_features import get_filterbanks, mfcc

from affectd.errors import ModelError
from affectd.voice.features import MfccExtractor, MfccFeatures, VoiceFeatures
from affectd.voice.features.mfcc import filterbank

RATE = 16_000
PITCH, VOICING, LEVEL = 40, 41, 42


def harmonic(hertz: float, seconds: float = 1.0, amplitude: float = 5000) -> np.ndarray:
    times = np.arange(int(seconds * RATE)) / RATE
    return (amplitude * sum(np.sin(2 * np.pi * hertz * k * times) / k for k in range(1, 8))).astype(np.int16)


def test_any_chunking_gives_the_same_frames() -> None:
    rng = np.random.default_rng(1)
    samples = (rng.standard_normal(20_000) * 2000).astype(np.int16)
    whole = MfccExtractor(MfccFeatures()).feed(samples)
    extractor = MfccExtractor(MfccFeatures())
    cuts = np.sort(rng.integers(0, len(samples), 60))
    parts = [extractor.feed(part) for part in np.split(samples, cuts)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_cepstra_are_those_of_python_speech_features() -> None:
    samples = (np.random.default_rng(3).standard_normal(RATE) * 1000).astype(np.int16)
    ours = MfccExtractor(MfccFeatures(power_floor=1e-30)).feed(samples)[:, :40]
    theirs = mfcc(
        samples / 32768.0,
        RATE,
        numcep=40,
        nfilt=40,
        nfft=512,
        lowfreq=20,
        highfreq=8000,
        appendEnergy=False,
        winfunc=np.hamming,
    )
    assert np.abs(ours - theirs[: len(ours)]).max() < 1e-4


@pytest.mark.parametrize(("low", "high", "filters"), [(20.0, 8000.0, 40), (0.0, 4000.0, 26), (300.0, 3400.0, 13)])
def test_filters_are_those_of_python_speech_features(low: float, high: float, filters: int) -> None:
    spec = MfccFeatures(low_hz=low, high_hz=high, filters=filters)
    assert np.array_equal(filterbank(spec, 512), get_filterbanks(filters, 512, RATE, low, high).T)


@pytest.mark.parametrize("hertz", [80, 120, 220, 440])
def test_pitch_of_a_voice_like_tone(hertz: float) -> None:
    frames = MfccExtractor(MfccFeatures()).feed(harmonic(hertz))[5:-5]
    assert np.median(150 * 2 ** frames[:, PITCH]) == pytest.approx(hertz, rel=0.01)
    assert frames[:, VOICING].min() > 0.9


def test_noise_has_no_pitch_and_silence_is_finite() -> None:
    noise = (np.random.default_rng(4).standard_normal(2 * RATE) * 1000).astype(np.int16)
    assert np.percentile(MfccExtractor(MfccFeatures()).feed(noise)[:, VOICING], 99) < 0.4
    silence = MfccExtractor(MfccFeatures()).feed(np.zeros(RATE, np.int16))
    assert np.isfinite(silence).all()
    assert silence[:, LEVEL].max() <= -89


def test_level_is_in_decibels_of_full_scale() -> None:
    square = np.where(np.arange(RATE) // 40 % 2, 16384, -16384).astype(np.int16)
    assert MfccExtractor(MfccFeatures()).feed(square)[10, LEVEL] == pytest.approx(-6.02, abs=0.05)


def test_a_short_window_is_padded_on_the_left_and_a_long_one_keeps_its_end() -> None:
    features = MfccFeatures()
    static = np.random.default_rng(5).standard_normal((400, features.static_columns)).astype(np.float32)
    short = features.window(static[:100])
    assert short.shape == (300, features.columns)
    assert not short[:200].any()
    assert np.array_equal(short[200:, : features.static_columns], static[:100])
    assert np.array_equal(features.window(static)[:, : features.static_columns], static[100:])


def test_deltas_of_a_slope_are_its_slope() -> None:
    features = MfccFeatures()
    static = np.zeros((300, features.static_columns), np.float32)
    static[:, 0] = 0.25 * np.arange(300)
    deltas = features.window(static)[:, features.static_columns]
    assert np.allclose(deltas[2:-2], 0.25)


def test_the_manifest_gives_the_same_settings_and_a_foreign_one_is_refused() -> None:
    features = MfccFeatures(mean=(0.5,) * 83, std=(2.0,) * 83)
    assert VoiceFeatures.from_manifest(features.to_manifest()) == features
    with pytest.raises(ModelError, match="chroma"):
        VoiceFeatures.from_manifest({**features.to_manifest(), "chroma": 12})
    with pytest.raises(ModelError, match="83 values"):
        VoiceFeatures.from_manifest({**features.to_manifest(), "mean": [0.0]})

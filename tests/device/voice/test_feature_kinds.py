"""The features that others' voice models take: librosa's numbers, streams, manifests, and which networks fit them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from affectd.errors import ModelError
from affectd.voice.features import LogMelFeatures, MfccChromaFeatures, MfccFeatures, VoiceFeatures, WaveformFeatures
from affectd.voice.speech_frames import SpeechFrameExtractor
from support.voice_like import RATE, voice_like

ALL_PARTS = ("mfcc", "chroma", "mel", "contrast", "tonnetz")
KINDS = [
    MfccFeatures(mean=(0.5,) * 83, std=(2.0,) * 83),
    MfccFeatures(sample_rate=8000, high_hz=4000.0, mean=(0.5,) * 83, std=(2.0,) * 83),
    LogMelFeatures(mean=(-40.0,), std=(20.0,)),
    LogMelFeatures(hop_s=0.032, window_frames=90),
    LogMelFeatures(sample_rate=22_050, frame_s=2048 / 22_050, hop_s=512 / 22_050, fft_size=2048, filters_first=True),
    MfccChromaFeatures(parts=ALL_PARTS),
    WaveformFeatures(standardize=True),
    WaveformFeatures(sample_rate=8000, samples=16_000, scale=32768.0),
]
NAMES = [f"{features.kind}-{number}" for number, features in enumerate(KINDS)]
# By scripts/prove-features, from `voice_like(4.0)`.
LIBROSA = {k: np.array(v) for k, v in json.loads(Path(__file__).with_name("librosa.json").read_text()).items()}


def stream_of(features: VoiceFeatures, samples: np.ndarray, size: int, *, ask: bool = True):
    """A stream after chunks of a size, asked for a window after each, as the daemon might."""
    stream, extractor = features.stream(), SpeechFrameExtractor()
    for start in range(0, len(samples), size):
        part = samples[start : start + size]
        stream.push(part, extractor.extract(part))
        if ask:
            stream.window()
    return stream


def test_log_mel_is_librosas():
    features = LogMelFeatures(window_frames=16, filters=32)
    window = stream_of(features, voice_like(4.0), 1600).window()
    np.testing.assert_allclose(window, LIBROSA["log-mel"], atol=1e-3)
    # As np.log(mel + 1e-6) has it, from the same powers.
    natural = LogMelFeatures(window_frames=16, filters=32, log="ln", power_floor=1e-6, floor="added")
    expected = np.log(10 ** (LIBROSA["log-mel"] / 10) + 1e-6)
    np.testing.assert_allclose(stream_of(natural, voice_like(4.0), 1600).window(), expected, atol=1e-3)


def test_log_mel_to_the_loudest_is_librosas():
    features = LogMelFeatures(
        frame_s=1024 / RATE,
        hop_s=512 / RATE,
        fft_size=1024,
        filters=32,
        mel_scale="htk",
        even_area=False,
        reference="loudest",
        range_db=80.0,
        window_frames=20,
        filters_first=True,
    )
    np.testing.assert_allclose(
        stream_of(features, voice_like(4.0), 1600).window(), LIBROSA["log-mel, loudest"], atol=1e-3
    )


def test_the_means_are_librosas():
    window = stream_of(MfccChromaFeatures(parts=ALL_PARTS), voice_like(4.0), 1600).window()
    np.testing.assert_allclose(window, LIBROSA["mfcc-chroma"], rtol=1e-4, atol=1e-3)
    # Parts in any order, each the same.
    some = stream_of(MfccChromaFeatures(parts=("contrast", "mfcc")), voice_like(4.0), 1600).window()
    np.testing.assert_allclose(some, np.concatenate([window[180:187], window[:40]]), rtol=1e-5)


def test_a_waveform_is_the_newest_sound():
    samples = voice_like(4.0)
    window = stream_of(WaveformFeatures(scale=32768.0), samples, 1600).window()
    assert np.array_equal(window, samples[-48_000:])
    standard = stream_of(WaveformFeatures(standardize=True), samples[:16_000], 1600).window()
    assert not standard[:32_000].any()
    sound = standard[32_000:]
    assert (sound.mean(), sound.std()) == (pytest.approx(0, abs=1e-4), pytest.approx(1, abs=1e-3))


@pytest.mark.parametrize("features", KINDS, ids=NAMES)
def test_a_stream_is_the_same_however_sound_comes_and_a_gap_begins_it_anew(features):
    # Less sound than a window, and more.
    for samples in (voice_like(1.3), voice_like(4.4)):
        expected = stream_of(features, samples, len(samples), ask=False).window()
        assert expected.shape == features.shape
        assert np.isfinite(expected).all()
        for size in (1999, 8000):
            for ask in (True, False):
                window = stream_of(features, samples, size, ask=ask).window()
                np.testing.assert_allclose(window, expected, rtol=1e-4, atol=1e-3)
    stream = stream_of(features, voice_like(2.0)[::-1], 1600)
    stream.reset()
    stream.push(samples, SpeechFrameExtractor().extract(samples))
    np.testing.assert_allclose(stream.window(), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("features", KINDS, ids=NAMES)
def test_silence_and_too_little_sound_are_numbers(features):
    for samples in (np.zeros(0, np.int16), np.zeros(300, np.int16), np.zeros(64_000, np.int16)):
        window = stream_of(features, samples, 1600).window()
        assert window.shape == features.shape
        assert np.isfinite(window).all()


@pytest.mark.parametrize("features", KINDS, ids=NAMES)
def test_a_manifest_gives_the_same_features(features):
    manifest = json.loads(json.dumps(features.to_manifest()))
    assert VoiceFeatures.from_manifest(manifest) == features
    with pytest.raises(ModelError, match=f"features.loudness is unknown to kind {features.kind}; it has sample_rate"):
        VoiceFeatures.from_manifest({**manifest, "loudness": 1})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"kind": "cqt"}, "features.kind must be one of log-mel, mfcc, mfcc-chroma, waveform, not 'cqt'"),
        ({"kind": ["mfcc"]}, "features.kind must be one of log-mel, mfcc, mfcc-chroma, waveform, not ['mfcc']"),
        ({}, "features.mean must be 83 values, one for each column, not 0"),
        ({"mean": [0.0] * 83, "std": [1.0]}, "features.std must be as many values as mean has, 83, not 1"),
        ({"mean": [0.0] * 83, "std": [0.0] * 83}, "features.std must be above 0 in every column, not 0.0"),
        ({"mean": "none"}, "features.mean must be a list of numbers, not 'none'"),
        ({"kind": "log-mel", "filters": 64.0}, "features.filters must be a whole number, not 64.0"),
        ({"kind": "log-mel", "log": 10}, "features.log must be a text, not 10"),
        ({"kind": "log-mel", "log": "dB"}, "features.log must be one of db, ln, log10, not 'dB'"),
        ({"kind": "log-mel", "fft_size": 256}, "features.fft_size must be at least a frame, 400 samples, not 256"),
        ({"kind": "log-mel", "high_hz": float("nan")}, "features.high_hz must be a number, not nan"),
        (
            {"kind": "log-mel", "mean": [0, 0], "std": [1, 1]},
            "features.mean must be 1 value or 64 values, one for each column, not 2",
        ),
        ({"kind": "mfcc-chroma", "parts": ["mfcc", "mfcc"]}, "features.parts must be one or more of mfcc, chroma, mel"),
        ({"kind": "mfcc-chroma", "sample_rate": 8000}, "features.sample_rate must be above 12800 for contrast"),
        ({"kind": "mfcc-chroma", "sample_rate": 48_000, "fft_size": 256}, "features.fft_size must be a hundredth of"),
        (
            {"kind": "waveform", "sample_rate": 22_051},
            "features.sample_rate must be in 1000..192000, and a multiple of 25",
        ),
        ({"kind": "waveform", "samples": 0}, "features.samples must be 1 or more, not 0"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused_by_its_key(values, sentence):
    with pytest.raises(ModelError, match="bundle/manifest.json: " + re.escape(sentence)):
        VoiceFeatures.from_manifest(values, where="bundle/manifest.json")


def test_a_network_of_other_sizes_is_refused_and_further_axes_of_one_are_not():
    picture = LogMelFeatures(window_frames=94, filters=128)
    for shape in ((1, 94, 128), (1, 94, 128, 1), (1, 1, 94, 128)):
        picture.check_input(shape)
    MfccChromaFeatures().check_input((1, 65, 1))
    # The same number of values in another order would be another picture.
    for shape in ((1, 128, 94, 1), (1, 94 * 128), (1, 94, 64)):
        with pytest.raises(ModelError, match=r"features of kind log-mel are \(1, 94, 128\)"):
            picture.check_input(shape)

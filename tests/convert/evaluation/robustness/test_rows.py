"""Adverse conditions: as loud, as blurred and as small as they say, and the same every time."""

import cv2
import numpy as np
import pytest

from affectd.face.preprocess import FacePreprocessing
from affectd.voice.features import MfccFeatures
from affectd_convert.datasets.labelled import Clips, Faces
from affectd_convert.errors import DataError
from affectd_convert.evaluation.robustness import faces, voices
from affectd_convert.evaluation.robustness.table import face_rows, voice_rows

RATE = 16_000
FACES, VOICES = faces.conditions(), voices.conditions()


def tone(hz, seconds=2.0, amplitude=0.2):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)


def as_int16(sound):
    return (sound * 32767).astype(np.int16)


AROUND = voices.Surroundings(RATE, [as_int16(tone(hz)) for hz in (500, 900)])


@pytest.fixture(scope="module")
def crop():
    """A smooth picture with an edge and texture, (48, 48) uint8."""
    rng = np.random.default_rng(0)
    picture = np.tile(np.linspace(60, 160, 48), (48, 1)) + rng.normal(0, 8, (48, 48))
    picture[:, 24:] += 40
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("snr_db", voices.SNRS_DB)
@pytest.mark.parametrize("noise", ["babble", "fan"])
def test_noise_is_as_loud_as_its_name_says(noise, snr_db):
    # Half of the clip is a pause, which does not count.
    clean = np.concatenate([tone(300, amplitude=0.02), np.zeros(2 * RATE)])
    worse = VOICES[f"{noise}, {snr_db} dB SNR"](clean, AROUND, np.random.default_rng(0))
    power = np.mean((worse - clean) ** 2)
    assert 10 * np.log10(0.02**2 / 2 / power) == pytest.approx(snr_db, abs=0.3)


def test_babble_is_of_others_and_fans_are_low():
    spectrum = np.abs(np.fft.rfft(voices.babble(RATE, AROUND, np.random.default_rng(0)))) ** 2
    hz = np.fft.rfftfreq(RATE, 1 / RATE)
    assert spectrum[(abs(hz - 500) < 20) | (abs(hz - 900) < 20)].sum() > 0.9 * spectrum.sum()
    spectrum = np.abs(np.fft.rfft(voices.fan(RATE, AROUND, np.random.default_rng(0)))) ** 2
    assert spectrum[hz < 400].sum() > 0.9 * spectrum.sum()


@pytest.mark.parametrize("decay_s", voices.REVERBERATION_S)
def test_a_room_decays_by_60_db_in_its_time(decay_s):
    responses = [voices.room(decay_s, RATE, np.random.default_rng(seed)) for seed in range(20)]
    power = np.mean(np.square(responses), axis=0)
    tenth = round(decay_s * RATE / 10)
    early, late = power[1 : 1 + tenth].mean(), power[-tenth:].mean()
    assert 10 * np.log10(early / late) == pytest.approx(54, abs=1.5)
    # Schroeder's direct-to-reverberant ratio for the room, distance and directivity that are written there.
    critical = 0.01 * voices.DIRECTIVITY * voices.ROOM_M3 / (np.pi * decay_s)
    assert 1 / power[1:].sum() == pytest.approx(critical / voices.DISTANCE_M**2, rel=0.02)


def test_the_telephone_takes_away_what_lies_outside_its_band():
    levels = {
        hz: np.std(voices.telephone(tone(hz), AROUND, np.random.default_rng(0))) / np.std(tone(hz))
        for hz in (100, 1000, 3000, 5000)
    }
    assert levels[1000] == pytest.approx(1, abs=0.05)
    assert levels[3000] > 0.7
    assert max(levels[100], levels[5000]) < 0.05


def test_worse_clips_keep_their_length_and_do_not_clip():
    loud = as_int16(tone(300, amplitude=0.99))
    for name, condition in VOICES.items():
        worse = voices.worsened(loud, condition, AROUND, np.random.default_rng(0))
        assert worse.shape == loud.shape, name
        assert worse.dtype == np.int16
        assert not np.array_equal(worse, loud), name


def test_digital_silence_stays_finite():
    silence = np.zeros(RATE, np.int16)
    around = voices.Surroundings(RATE, [silence])
    for condition in VOICES.values():
        assert np.abs(voices.worsened(silence, condition, around, np.random.default_rng(0))).max() == 0


def test_faces_are_worsened_as_named(crop):
    rng = np.random.default_rng(0)
    worse = {name: condition(crop, rng) for name, condition in FACES.items()}
    sharpness = {name: cv2.Laplacian(image, cv2.CV_64F).var() for name, image in worse.items()}
    clear = cv2.Laplacian(crop, cv2.CV_64F).var()
    assert sharpness["blur, sigma 2 px"] < sharpness["blur, sigma 1 px"] < 0.3 * clear
    assert worse["small face, 24 px"].shape == (24, 24)
    assert worse["low light, 10%, sensor noise"].mean() == pytest.approx(0.1 * crop.mean(), rel=0.05)
    quality_10, quality_30 = (np.abs(worse[f"JPEG, quality {q}"] - crop.astype(float)).mean() for q in (10, 30))
    assert quality_10 > quality_30 > 0
    for name, image in worse.items():
        assert image.dtype == np.uint8, name
        assert not np.array_equal(image, crop), name


def test_boxes_jitter_as_far_as_measured():
    # The centre of a disc tells the shift, its area the scale.
    disc = cv2.circle(np.zeros((48, 48), np.uint8), (24, 24), 12, 255, -1)
    condition, rng = FACES["Haar box jitter, as measured"], np.random.default_rng(0)
    moments = [cv2.moments(condition(disc, rng)) for _ in range(400)]
    centres = np.array([(m["m10"] / m["m00"], m["m01"] / m["m00"]) for m in moments])
    sides = 1 / np.sqrt([m["m00"] for m in moments])
    np.testing.assert_allclose(centres.std(axis=0) / 48, faces.BOX_SHIFT, rtol=0.15)
    assert sides.std() / sides.mean() == pytest.approx(faces.BOX_SCALE, rel=0.15)


def test_the_same_faces_give_the_same_rows(crop):
    data = Faces(np.stack([crop, crop[:, ::-1], crop.T]), np.array([0, 1, 2]))
    weights = np.random.default_rng(0).standard_normal((48 * 48, 7)).astype(np.float32)

    def run(inputs):
        return inputs.reshape(len(inputs), -1) @ weights

    told = []
    rows = face_rows(run, FacePreprocessing(), data, report=told.append)
    assert rows == face_rows(run, FacePreprocessing(), data)
    assert [row.condition for row in rows] == ["clean", *FACES]
    assert len(told) == len(rows)


def test_voices_need_others_for_babble():
    clips = Clips((as_int16(tone(300)),) * 2, np.array([0, 1]), ("ann", "ann"))
    with pytest.raises(DataError, match="two speakers or more"):
        voice_rows(lambda windows: np.zeros((len(windows), 8), np.float32), MfccFeatures(), clips)

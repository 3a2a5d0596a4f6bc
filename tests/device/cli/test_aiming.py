"""The words on what camera and microphone give, on the portrait and on a voice spoilt as rooms and devices do."""

import cv2
import numpy as np
import pytest
from scipy.signal import resample_poly

from affectd.cli import aiming
from affectd.events import Box
from affectd.voice.sound_check import loudness
from support.media import read_wav, speak
from support.scenes import FACE_SIDE, FACE_X, FACE_Y, PORTRAIT, scene

SAMPLE_RATE = 16_000


def portrait():
    """The whole photograph, and where its face is."""
    picture = cv2.imread(str(PORTRAIT))
    side = picture.shape[0]
    return picture, Box(
        (FACE_X - FACE_SIDE / 2) / side, (FACE_Y - FACE_SIDE / 2) / side, FACE_SIDE / side, FACE_SIDE / side
    )


def composed():
    """The head before a plain wall, and where its face is."""
    return scene((320, 240, 150)), Box(252 / 640, 172 / 480, 136 / 640, 136 / 480)


def appearance(picture, face):
    noisy = np.clip(picture + np.random.default_rng(0).normal(0, 2, picture.shape), 0, 255).astype(np.uint8)
    return aiming.Appearance.of(cv2.cvtColor(noisy, cv2.COLOR_BGR2GRAY), face)


def words(picture, face):
    seen = appearance(picture, face)
    return [
        judge(seen).word for judge in (aiming.judge_brightness, aiming.judge_contrast, aiming.judge_sharpness)
    ]  # fmt: skip


@pytest.mark.parametrize("taken", [portrait, composed])
def test_the_portrait_is_good_and_each_way_of_spoiling_it_has_its_word(taken):
    picture, face = taken()
    assert words(picture, face) == ["good", "good", "good"]
    assert words(picture * 0.5, face) == ["good", "good", "good"]
    assert words(picture * 0.3, face) == ["too dark", "flat", "good"]
    assert words(np.clip(picture * 1.5, 0, 255), face)[0] == "too bright"
    assert words(128 + 0.3 * (picture - 128.0), face) == ["good", "flat", "good"]
    assert words(cv2.GaussianBlur(picture, (0, 0), 1), face)[2] == "good"
    assert words(cv2.GaussianBlur(picture, (0, 0), 2.5), face) == ["good", "good", "blurred"]
    window = np.full_like(picture, 245)
    rows, columns = picture.shape[:2]
    top, left = round((face.y - face.height / 2) * rows), round((face.x - face.width / 2) * columns)
    head = np.s_[max(top, 0) : top + round(2 * face.height * rows), left : left + round(2 * face.width * columns)]
    window[head] = picture[head] // 2
    assert words(window, face)[0] == "backlit"


def test_without_a_face_the_whole_picture_is_judged():
    picture, _ = portrait()
    assert words(picture, None) == ["good", "good", "good"]
    assert words(picture * 0.3, None)[0] == "too dark"
    assert words(128 + 0.25 * (picture - 128.0), None) == ["good", "flat", "nothing to judge it by"]
    assert words(cv2.GaussianBlur(picture, (0, 0), 4), None)[2] == "blurred"


def test_blur_is_measured_in_pixels_whatever_the_light_and_the_size_of_the_picture():
    picture, face = portrait()
    for blur in (2.0, 3.0, 4.0):
        blurred = cv2.GaussianBlur(picture, (0, 0), blur)
        large = cv2.resize(blurred, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
        measured = [appearance(view, face).blur for view in (blurred, blurred * 0.3, large)]
        assert measured == pytest.approx([blur * 480 / 512] * 3, abs=0.75)


@pytest.mark.parametrize(
    ("side", "word"), [(50, "too far"), (60, "small"), (70, "good")]
)  # fmt: skip
def test_a_face_is_judged_by_its_pixels_beside_the_smallest_that_is_found(side, word):
    verdict = aiming.judge_size(Box(0.4, 0.4, side / 640, side / 480), 640, 480, 0.1)
    assert (verdict.word, verdict.value) == (word, f"{side} px")


def test_a_face_off_the_middle_is_said_to_be_on_its_side():
    assert aiming.judge_place(Box(0.4, 0.4, 0.2, 0.2)).word == "in the middle"
    assert aiming.judge_place(Box(0.8, 0.4, 0.1, 0.1)).word == "off to the right"
    assert aiming.judge_place(Box(0.1, 0.8, 0.1, 0.1)).word == "off to the left and bottom"


def test_the_rate_is_judged_by_what_was_asked():
    assert aiming.judge_rate(9.4, 10).word == "good"
    assert (aiming.judge_rate(5.0, 10).word, aiming.judge_rate(5.0, 10).good) == ("slow", False)
    assert aiming.judge_rate(None, 10).good


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    """Five seconds of a synthetic voice with pauses, at a root mean square of 1."""
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    rate, samples = read_wav(speak(path, "hello there, this is a test of the microphone. one two three four five six"))
    samples = resample_poly(samples.astype(float), SAMPLE_RATE, rate)[: 5 * SAMPLE_RATE]
    return np.pad(samples / np.sqrt(np.mean(samples**2)), SAMPLE_RATE)


@pytest.mark.parametrize(
    ("level_db", "noise_db", "word"),
    [
        (-10, -65, "overdriven"), (-20, -65, "good"), (-40, -65, "good"), (-52, -65, "too quiet"),
        (-63, -65, "nothing said"), (-35, -55, "good"), (-42, -55, "too quiet"), (-200, -30, "nothing said"),
    ],
)  # fmt: skip
def test_a_voice_is_judged_by_its_level_over_the_noise(voice, level_db, noise_db, word):
    noise = np.random.default_rng(1).normal(0, 10 ** (noise_db / 20), voice.size)
    sound = np.clip(32_768 * (voice * 10 ** (level_db / 20) + noise), -32_768, 32_767).astype(np.int16)
    size = round(aiming.BLOCK_S * SAMPLE_RATE)
    blocks = [loudness(sound[start : start + size]) for start in range(0, sound.size, size)]
    verdict = aiming.judge_sound(blocks)
    assert verdict.word == word
    assert verdict.good == (word in {"good", "nothing said"})

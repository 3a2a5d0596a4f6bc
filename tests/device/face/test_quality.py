"""Quality falls with everything that makes a face hard to read."""

import cv2
import numpy as np
import pytest

from affectd.face.preprocess import GrayImage
from affectd.face.quality import face_quality
from support.scenes import scene


def face(side: int = 120) -> GrayImage:
    gray = cv2.cvtColor(scene((320, 240, side)), cv2.COLOR_BGR2GRAY)
    half = side // 2
    return np.asarray(gray[240 - half : 240 + half, 320 - half : 320 + half], np.uint8)


def test_a_good_face_has_a_good_quality() -> None:
    assert 0.4 < face_quality(face()) <= 1


def test_blur_lowers_it_step_by_step() -> None:
    qualities = [face_quality(face())] + [face_quality(cv2.GaussianBlur(face(), (0, 0), s)) for s in (3, 5, 8)]
    assert qualities == sorted(qualities, reverse=True)
    assert qualities[-1] < 0.1 * qualities[0]


def test_a_small_face_lowers_it() -> None:
    small = [face_quality(face(side)) for side in (24, 40, 64)]
    assert small == sorted(small)
    assert small[0] < 0.6 * small[-1]


@pytest.mark.parametrize("half", ["left", "right"])
def test_a_half_covered_face_lowers_it(half: str) -> None:
    covered = face().copy()
    columns = slice(0, 60) if half == "left" else slice(60, 120)
    covered[:, columns] = 90
    assert face_quality(covered) < 0.5 * face_quality(face())


def masked() -> GrayImage:
    covered = face().copy()
    covered[68:] = 150
    return covered


def behind_dark_glasses() -> GrayImage:
    covered = face().copy()
    for left in (14, 66):
        covered[32:58, left : left + 40] = 25
    return covered


@pytest.mark.parametrize(("covered", "left"), [(masked(), 0.3), (behind_dark_glasses(), 0.7)], ids=["mask", "glasses"])
def test_a_covered_mouth_or_eyes_lower_it(covered: GrayImage, left: float) -> None:
    noise = np.random.default_rng(0).normal(0, 3, covered.shape)
    noisy = np.clip(covered + noise, 0, 255).astype(np.uint8)
    assert face_quality(covered) < left * face_quality(face())
    assert face_quality(noisy) < left * face_quality(face())


def test_noise_is_no_sharpness() -> None:
    blurred = cv2.GaussianBlur(face(), (0, 0), 7).astype(np.float32)
    noisy = np.clip(blurred + np.random.default_rng(0).normal(0, 6, blurred.shape), 0, 255).astype(np.uint8)
    assert face_quality(noisy) < 0.35 * face_quality(face())


def test_darkness_and_glare_lower_it() -> None:
    values = face().astype(np.float32)
    dark = (values * 0.1).astype(np.uint8)
    glare = np.clip(values + 150, 0, 255).astype(np.uint8)
    assert face_quality(dark) < 0.5 * face_quality(face())
    assert face_quality(glare) < 0.5 * face_quality(face())


def test_a_lamp_at_one_side_is_not_a_turned_head() -> None:
    lamp = np.clip(face() * np.linspace(0.75, 1.15, 120), 0, 255).astype(np.uint8)
    assert face_quality(lamp) > 0.6 * face_quality(face())


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_empty_crop_has_none(level: int) -> None:
    assert face_quality(np.full((80, 80), level, np.uint8)) == 0

"""Faces in dim light, haze and backlight are found, and noise stretched as far does not become faces."""

import cv2
import numpy as np
import pytest

from affectd.events import FaceReading, Frame
from affectd.face.contrast import Levels, locally_stretched
from affectd.face.haar import HaarDetector
from affectd.face.preprocess import FacePreprocessing, GrayImage
from affectd.face.reader import FaceReader
from affectd.face.tracker import FaceTracker
from support.scenes import scene

FACE = (320, 240, 150)


class Model:
    def probabilities(self, x: np.ndarray) -> tuple[float, ...]:
        return (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


def gray(*faces: tuple[float, float, float]) -> np.ndarray:
    return cv2.cvtColor(scene(*faces), cv2.COLOR_BGR2GRAY).astype(np.float64)


def head() -> np.ndarray:
    """Where the head is: 1, and 0 elsewhere, with a soft edge."""
    mask = (np.abs(gray(FACE) - gray()) > 2).astype(np.float64)
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((41, 41)))
    return np.asarray(cv2.GaussianBlur(closed, (0, 0), 4))


def room() -> np.ndarray:
    """A grey picture of a face before a wall with bright and dark parts."""
    rows, columns = np.mgrid[0:480, 0:640]
    wall = 120 + 60 * np.sin(columns / 50) + 40 * np.cos(rows / 35)
    return gray(FACE) * head() + wall * (1 - head())


def sensed(light: np.ndarray, rng: np.random.Generator) -> GrayImage:
    """Take a picture with the noise of a small sensor: 1,000 electrons at white, 3 of reading."""
    electrons = rng.poisson(np.clip(light, 0, 255) * (1000 / 255)) + 3 * rng.standard_normal(light.shape)
    return np.asarray(np.clip(np.rint(electrons * (255 / 1000)), 0, 255), np.uint8)


def read(light: np.ndarray, frames: int = 12) -> list[FaceReading]:
    reader, rng = FaceReader.create(Model(), FacePreprocessing(), HaarDetector()), np.random.default_rng(0)
    return [reader.read(Frame(sensed(light, rng), 50 + i / 10, i)) for i in range(frames)]


def backlit(light: float) -> np.ndarray:
    """The face in so much of its light before a bright window."""
    return room() * light * head() + (200 + room() / 8) * (1 - head())


def with_lamp(picture: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.circle(picture.copy(), (80, 80), 60, 255.0, -1))


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(room() * 0.3, id="30 % of the light"),
        pytest.param(room() * 0.1, id="10 % of the light"),
        pytest.param(room() * 0.05, id="5 % of the light"),
        pytest.param(150 + (room() - room().mean()) * 0.1, id="haze"),
        pytest.param(room() * (1 - 0.65 * head()) * 0.3, id="darker skin in a third of the light"),
        pytest.param(255 * (room() / 255) ** 2.2 * 0.2, id="gamma"),
        pytest.param(backlit(0.15), id="backlight, 15 % on the face"),
        pytest.param(backlit(0.1), id="backlight, 10 % on the face"),
        pytest.param(with_lamp(room() * 0.1), id="a lamp in a dim room"),
        pytest.param(gray(FACE) * 0.1, id="a plain wall in 10 % of the light"),
    ],
)
def test_a_face_without_contrast_is_found_and_followed(picture: np.ndarray) -> None:
    readings = read(picture)
    faces = [reading.primary for reading in readings if reading.primary is not None]
    assert len(faces) >= 8
    assert len({face.track for face in faces}) == 1
    box = faces[-1].box
    assert box.x + box.width / 2 == pytest.approx(320 / 640, abs=0.03)
    assert box.y + box.height / 2 == pytest.approx(240 / 480, abs=0.04)


def test_quality_is_of_the_picture_as_it_is() -> None:
    bright, dim = (read(room() * light)[-1].primary for light in (1.0, 0.1))
    assert bright is not None
    assert dim is not None
    assert dim.quality < 0.5 * bright.quality


@pytest.mark.parametrize("deviation", [1, 2, 4])
@pytest.mark.parametrize("blur", [0, 1, 5])
def test_a_covered_lens_shows_nobody(deviation: float, blur: float) -> None:
    rng, tracker = np.random.default_rng(1), FaceTracker(HaarDetector())
    for number in range(12):
        noise = rng.standard_normal((480, 640))
        noise = cv2.GaussianBlur(noise, (0, 0), blur) if blur else noise
        lens = np.clip(np.rint(4 + deviation / noise.std() * noise), 0, 255).astype(np.uint8)
        assert tracker.update(lens, number / 10) == []


@pytest.mark.parametrize("level", [0, 1, 128, 255])
@pytest.mark.parametrize("shape", [(240, 320), (1, 1), (3, 2), (160, 5)])
def test_pictures_of_one_level_and_tiny_ones_have_no_contrast(level: int, shape: tuple[int, int]) -> None:
    flat = np.full(shape, level, np.uint8)
    for picture in (Levels.of(flat).spread(flat), locally_stretched(flat)):
        assert picture.shape == shape
        assert picture.dtype == np.uint8
        assert picture.std() == 0


def test_a_picture_with_all_levels_stays_nearly_as_it_is() -> None:
    levels = np.tile(np.arange(256, dtype=np.uint8), (100, 1))
    assert np.abs(Levels.of(levels).spread(levels).astype(int) - levels).max() <= 4


def test_stretching_is_bounded_for_a_few_levels_are_noise() -> None:
    few = np.random.default_rng(0).integers(3, 7, (240, 320), np.uint8)
    assert np.ptp(Levels.of(few).spread(few)) <= 3 * 16

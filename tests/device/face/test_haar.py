"""Haar detection on real pictures: the face where it is, nothing where none is."""

import cv2
import numpy as np
import pytest

from affectd.face.detector import FoundFace, overlap
from affectd.face.haar import HaarDetector
from affectd.face.preprocess import GrayImage, PixelBox
from support.scenes import PORTRAIT, scene


def gray_scene(*faces: tuple[float, float, float], width: int = 640, height: int = 480) -> GrayImage:
    return np.asarray(cv2.cvtColor(scene(*faces, width=width, height=height), cv2.COLOR_BGR2GRAY), np.uint8)


def detect(detector: HaarDetector, gray: GrayImage) -> list[PixelBox]:
    return [face.box for face in detector.detect(detector.shrink(gray), attempt=0)]


def around(x: float, y: float, side: float) -> PixelBox:
    return x - side / 2, y - side / 2, side, side


@pytest.mark.parametrize("place", [(320, 240, 110), (150, 160, 80), (480, 300, 200)])
def test_finds_the_face_in_full_picture_pixels(place: tuple[int, int, int]) -> None:
    detector = HaarDetector()
    boxes = detect(detector, gray_scene(*[place]))
    assert len(boxes) == 1
    assert overlap(boxes[0], around(*place)) > 0.5


def test_finds_the_face_in_the_whole_portrait() -> None:
    detector = HaarDetector()
    gray = cv2.imread(str(PORTRAIT), cv2.IMREAD_GRAYSCALE)
    assert overlap(detect(detector, gray)[0], around(225, 122, 110)) > 0.5


def test_finds_two_faces_largest_first() -> None:
    detector = HaarDetector()
    boxes = detect(detector, gray_scene((160, 240, 90), (450, 240, 140)))
    assert len(boxes) == 2
    assert boxes[0][2] > boxes[1][2]


def test_min_size_leaves_out_smaller_faces_and_lets_tiny_ones_in() -> None:
    small = gray_scene((320, 240, 60), width=1280, height=960)
    for min_size, count in ((0.05, 1), (0.2, 0)):
        detector = HaarDetector(min_size)
        assert len(detect(detector, small)) == count


@pytest.mark.parametrize("size", [(640, 480), (1920, 1080), (480, 640), (100, 60)])
def test_shrinks_large_pictures_only_and_keeps_their_shape(size: tuple[int, int]) -> None:
    width, height = size
    picture = HaarDetector(0.1).shrink(np.zeros((height, width), np.uint8))
    rows, columns = picture.pixels.shape
    assert rows == min(height, 240)
    assert columns == pytest.approx(width * rows / height, abs=1)
    assert picture.scale == pytest.approx(height / rows)


@pytest.mark.parametrize("kind", ["noise", "gradient", "black", "blurred noise"])
def test_no_face_in_pictures_without_one(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640), dtype=np.uint8)
    gradient = np.repeat(np.linspace(0, 255, 640, dtype=np.uint8)[np.newaxis], 480, axis=0)
    blurred = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 12), None, 0, 255, cv2.NORM_MINMAX)
    pictures = {"noise": noise, "gradient": gradient, "black": np.zeros_like(noise), "blurred noise": blurred}
    detector = HaarDetector()
    assert detect(detector, pictures[kind]) == []


def test_looks_near_the_last_place_only() -> None:
    detector = HaarDetector()
    picture = detector.shrink(gray_scene((200, 240, 110)))
    near = detector.detect_near(picture, FoundFace(around(230, 250, 100)))
    assert near
    assert overlap(near[0].box, around(200, 240, 110)) > 0.5
    assert detector.detect_near(picture, FoundFace(around(500, 240, 110))) == []
    assert detector.detect_near(picture, FoundFace(around(900, 700, 110))) == []

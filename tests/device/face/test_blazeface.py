"""BlazeFace on real pictures: faces at any roll, in the dark and far away, with boxes as the cascade's.

Its file is fetched once by scripts/test; by hand: affectd fetch blazeface.
"""

import cv2
import numpy as np
import pytest

from affectd.face.blazeface import BlazeFaceDetector
from affectd.face.blazeface_file import open_blazeface
from affectd.face.detector import FoundFace, overlap
from affectd.face.haar import HaarDetector
from affectd.face.preprocess import GrayImage
from affectd.face.tracker import FaceTracker
from support.scenes import BACKDROP, PORTRAIT, scene


@pytest.fixture(scope="module")
def detector() -> BlazeFaceDetector:
    return open_blazeface(0.1)


def gray(*faces: tuple[float, float, float], roll: float = 0.0) -> GrayImage:
    """The scene, turned clockwise about its middle."""
    picture = cv2.cvtColor(scene(*faces), cv2.COLOR_BGR2GRAY)
    turn = cv2.getRotationMatrix2D((320, 240), -roll, 1)
    return np.asarray(cv2.warpAffine(picture, turn, (640, 480), borderValue=BACKDROP[0]), np.uint8)


def detect(detector: BlazeFaceDetector, picture: GrayImage, attempt: int = 0) -> list[FoundFace]:
    return detector.detect(detector.shrink(picture), attempt)


@pytest.mark.parametrize("place", [(320, 240, 110), (150, 160, 90), (480, 300, 200)])
def test_its_box_is_as_large_as_the_cascades_and_in_its_place(detector, place) -> None:
    picture = gray(place)
    (face,) = detect(detector, picture)
    (near,) = detector.detect_near(detector.shrink(picture), face)
    haar = HaarDetector()
    expected = haar.detect(haar.shrink(picture), 0)[0].box
    assert overlap(near.box, expected) > 0.5
    assert near.box[2] == pytest.approx(expected[2], rel=0.3)


@pytest.mark.parametrize("roll", [-40, -20, 20, 40])
def test_the_eyes_tell_the_roll(detector, roll: float) -> None:
    upright, tilted = (detect(detector, gray((320, 240, 160), roll=degrees))[0].roll_deg for degrees in (0, roll))
    assert tilted - upright == pytest.approx(roll, abs=8)


def test_a_head_is_followed_past_a_right_angle_by_its_last_roll(detector) -> None:
    tracker = FaceTracker(detector)
    for number, roll in enumerate([0, 0, *range(0, 121, 5)]):
        tracks = tracker.update(gray((320, 240, 130), roll=roll), number / 10)
    (track,) = tracks
    assert track.roll_deg == pytest.approx(120, abs=12)


def test_a_far_face_is_found_in_one_of_the_parts_and_not_below_the_smallest_size(detector) -> None:
    for size, smallest, found in ((48, 0.1, True), (48, 0.3, False)):
        one = open_blazeface(smallest)
        boxes = [face.box for attempt in range(6) for face in detect(one, gray((180, 330, size)), attempt)]
        assert any(overlap(box, (156, 306, 48, 48)) > 0.3 for box in boxes) == found


def test_two_faces_come_largest_first_and_once_each(detector) -> None:
    for attempt in range(6):
        faces = detect(detector, gray((160, 240, 120), (450, 240, 170)), attempt)
        assert len(faces) == 2
        assert faces[0].box[2] > faces[1].box[2]


def test_a_face_in_a_twentieth_of_the_light_is_found(detector) -> None:
    rng = np.random.default_rng(0)
    electrons = rng.poisson(gray((320, 240, 160)) * (0.05 * 1000 / 255)) + 3 * rng.standard_normal((480, 640))
    dim = np.clip(np.rint(electrons * (255 / 1000)), 0, 255).astype(np.uint8)
    (face,) = detect(detector, dim)
    assert overlap(face.box, (240, 160, 160, 160)) > 0.4


@pytest.mark.parametrize("kind", ["noise", "gradient", "black", "blurred noise"])
def test_no_face_in_pictures_without_one(detector, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640), dtype=np.uint8)
    gradient = np.repeat(np.linspace(0, 255, 640, dtype=np.uint8)[np.newaxis], 480, axis=0)
    blurred = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 12), None, 0, 255, cv2.NORM_MINMAX)
    pictures = {"noise": noise, "gradient": gradient, "black": np.zeros_like(noise), "blurred noise": blurred}
    assert all(detect(detector, pictures[kind], attempt) == [] for attempt in range(6))


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (2000, 60)])
def test_pictures_of_odd_shapes_have_no_face_and_do_no_harm(detector, size: tuple[int, int]) -> None:
    picture = detector.shrink(np.full(size, 128, np.uint8))
    assert detector.detect(picture, 0) == []
    assert detector.detect_near(picture, FoundFace((900.0, 700.0, 80.0, 80.0), 30.0)) == []


def test_the_whole_portrait(detector) -> None:
    face = detect(detector, cv2.imread(str(PORTRAIT), cv2.IMREAD_GRAYSCALE))[0]
    assert overlap(face.box, (170, 67, 110, 110)) > 0.5

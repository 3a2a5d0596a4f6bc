"""Tracks over real pictures of a moving face: one number while it stays, a new one when it comes back."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from affectd.face.detector import FoundFace, SmallPicture
from affectd.face.haar import HaarDetector
from affectd.face.tracker import FaceTracker, Track
from support.scenes import BACKDROP, scene

Place = tuple[float, float, float]


class Camera:
    """Shows scenes to a tracker at 10 frames a second."""

    def __init__(self, **settings: float) -> None:
        self.tracker = FaceTracker(HaarDetector(), **settings)  # type: ignore[arg-type]
        self.at = 100.0

    def show(self, *faces: Place) -> list[Track]:
        return self.show_picture(scene(*faces))

    def show_picture(self, picture: np.ndarray) -> list[Track]:
        self.at += 0.1
        return self.tracker.update(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), self.at)


def centre(track: Track) -> tuple[float, float]:
    x, y, width, height = track.box
    return x + width / 2, y + height / 2


def test_a_moving_and_nearing_face_keeps_its_number_and_its_box_follows() -> None:
    camera = Camera()
    camera.show((200, 240, 90))
    for step in range(40):
        place = (200 + 6 * step, 240 + 40 * np.sin(step / 6), 90 + 1.5 * step)
        (track,) = camera.show(place)
        assert track.number == 1
        assert np.hypot(*np.subtract(centre(track), place[:2])) < 0.2 * place[2]
        assert track.box[2] == pytest.approx(place[2], rel=0.25)


def test_a_face_counts_from_its_second_frame_on() -> None:
    camera = Camera()
    assert camera.show((320, 240, 110)) == []
    assert [track.number for track in camera.show((320, 240, 110))] == [1]


def test_a_flash_of_a_face_is_never_a_track() -> None:
    camera = Camera()
    assert camera.show((320, 240, 110)) == []
    assert all(camera.show() == [] for _ in range(5))
    camera.show((320, 240, 110))
    assert [track.number for track in camera.show((320, 240, 110))] == [1]


def test_survives_a_blink_of_the_picture_and_ends_after_its_patience() -> None:
    camera = Camera()
    for _ in range(3):
        camera.show((320, 240, 110))
    assert all(camera.show() == [] for _ in range(4))
    assert [track.number for track in camera.show((320, 240, 110))] == [1]
    for _ in range(15):
        assert camera.show() == []
    shown = [camera.show((320, 240, 110)) for _ in range(4)]
    assert [track.number for track in shown[-1]] == [2]


def tilted(degrees: float) -> np.ndarray:
    turn = cv2.getRotationMatrix2D((320, 240), degrees, 1)
    return cv2.warpAffine(scene((320, 240, 110)), turn, (640, 480), borderValue=BACKDROP)


@pytest.mark.parametrize("way", [-1, 1])
def test_a_head_that_leans_slowly_is_followed_and_its_roll_known(way: int) -> None:
    camera = Camera()
    for _ in range(3):
        camera.show((320, 240, 110))
    lean = [*range(0, 41, 2), *range(40, -1, -2)]
    for degrees in lean:
        # OpenCV's angles are counter-clockwise, a roll is clockwise.
        (track,) = camera.show_picture(tilted(-way * degrees))
        assert track.number == 1
        assert track.roll_deg == pytest.approx(way * degrees, abs=15)
        assert camera.at - track.detected_at < 0.25
    assert abs(track.roll_deg) < 10


def test_a_head_that_tilts_further_than_the_cascade_knows_is_followed_by_its_likeness() -> None:
    camera = Camera()
    for _ in range(3):
        camera.show((320, 240, 110))
    for degrees in range(-5, -86, -5):
        (track,) = camera.show_picture(tilted(degrees))
        assert track.number == 1
        assert np.hypot(*np.subtract(centre(track), (320, 240))) < 25
    assert track.detected_at < camera.at


def test_likeness_alone_is_not_believed_for_long() -> None:
    camera = Camera()
    for degrees in (0, 0, *range(-5, -86, -5)):
        camera.show_picture(tilted(degrees))
    assert len(camera.show_picture(tilted(-85))) == 1
    for _ in range(12):
        still = camera.show_picture(tilted(-85))
    assert still == []


def test_reset_forgets_the_face_and_numbers_go_on() -> None:
    camera = Camera()
    camera.show((320, 240, 110))
    camera.show((320, 240, 110))
    camera.tracker.reset()
    assert camera.show((320, 240, 110)) == []
    assert [track.number for track in camera.show((320, 240, 110))] == [2]


def test_two_faces_have_two_numbers_and_the_front_does_not_flip() -> None:
    camera = Camera()
    fronts = set()
    for step in range(24):
        wobble = 6 * np.sin(step)
        tracks = camera.show((170, 240, 110 + wobble), (460, 240, 110 - wobble))
        if step >= 2:
            assert {track.number for track in tracks} == {1, 2}
            fronts.add(tracks[0].number)
    assert len(fronts) == 1


def test_a_much_nearer_face_takes_the_front() -> None:
    camera = Camera()
    for _ in range(3):
        first = camera.show((150, 240, 100))[:1]
    for _ in range(8):
        tracks = camera.show((150, 240, 100), (440, 240, 180))
    assert len(tracks) == 2
    assert tracks[0].number != first[0].number
    assert centre(tracks[0])[0] > 400


def test_full_detection_is_not_run_on_every_frame() -> None:
    camera = Camera(detect_every=5)
    full = 0
    detector = camera.tracker.detector
    detect = detector.detect

    def counted(picture: SmallPicture, attempt: int, known: Sequence[FoundFace] = ()) -> list[FoundFace]:
        nonlocal full
        full += 1
        return detect(picture, attempt, known)

    detector.detect = counted  # type: ignore[method-assign]
    for _ in range(20):
        camera.show((320, 240, 110))
    assert full == 4


def test_a_still_face_has_a_still_box_under_camera_noise() -> None:
    camera = Camera()
    rng = np.random.default_rng(0)
    still = scene((320, 240, 110)).astype(np.int16)
    boxes = []
    for _ in range(20):
        noisy = np.clip(still + rng.normal(0, 6, still.shape), 0, 255).astype(np.uint8)
        boxes += [track.box for track in camera.show_picture(noisy)]
    assert np.std(boxes[2:], axis=0).max() < 0.03 * 110

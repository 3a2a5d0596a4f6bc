"""A photograph is read in several looks, at a picture in which nothing moves."""

import cv2
import numpy as np

from affectd.face.detector import FoundFace, SmallPicture
from affectd.face.preprocess import FacePreprocessing, GrayImage
from affectd.face.reader import FaceReader
from affectd.face.still import StillReader
from support.scenes import scene


class Trembling:
    """Finds the face in the middle a little elsewhere each time, and looks into a picture four times."""

    def __init__(self) -> None:
        self.looks = 0

    def shrink(self, gray: GrayImage) -> SmallPicture:
        return SmallPicture(gray, 1.0)

    def attempts(self, picture: SmallPicture) -> int:
        return 4

    def detect(self, picture: SmallPicture, attempt: int, known: object = ()) -> list[FoundFace]:
        return self.detect_near(picture, FoundFace((0, 0, 0, 0)))

    def detect_near(self, picture: SmallPicture, near: FoundFace, *, ask_roll: bool = True) -> list[FoundFace]:
        self.looks += 1
        return [FoundFace((260.0 + 12 * (self.looks % 3), 180.0, 120.0, 120.0))]


class Recorder:
    """Knows nothing, and keeps what it was shown."""

    def __init__(self) -> None:
        self.inputs: list[np.ndarray] = []

    def probabilities(self, x: np.ndarray) -> None:
        self.inputs.append(x)


def test_a_network_of_several_frames_is_shown_the_same_crop_in_all_of_them() -> None:
    model, preprocessing = Recorder(), FacePreprocessing(size=16, frames=3)
    near, far = (FaceReader.create(model, preprocessing, Trembling(), detect_every=1) for _ in range(2))
    StillReader(near, far, 0.1).read(cv2.cvtColor(scene((320, 240, 120)), cv2.COLOR_BGR2GRAY))
    assert len({x.tobytes() for x in model.inputs}) > 1
    for x in model.inputs:
        assert (x[0] == x[0, 0]).all()

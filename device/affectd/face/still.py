"""The faces in a photograph, read as those before a camera are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from affectd.events import Box, Frame, TrackedFace
from affectd.face.detector import overlap
from affectd.face.preprocess import to_gray
from affectd.face.reader import FaceReader
from affectd.face.tracker import SAME_FACE

SMALLEST = 0.05
"""Smallest face in a photograph, as a fraction of its height: people stand farther away than before a kiosk. In 80
wallpapers without a face one had a false one, of those that the far reader adds; at 0.03 three had."""
ALL_FACES = 1_000
"""Faces read in one photograph: all that there may be."""
FRAME_S = 0.1


@dataclass(frozen=True, slots=True)
class StillReader:
    """Reads photographs, each as a camera's picture of people who keep still. Not thread-safe."""

    near: FaceReader
    """Reads faces from `far_below` of the picture's height up, as before a camera."""
    far: FaceReader
    """Reads smaller ones in a finer picture, in which more things look like large faces."""
    far_below: float

    def read(self, image: NDArray[np.uint8]) -> tuple[TrackedFace, ...]:
        """Return the faces of a picture, (height, width, 3) BGR or (height, width) grey, the largest first."""
        large = _detect_twice(self.near, image)
        small = (face for face in _detect_twice(self.far, image) if face.box.height < self.far_below)
        faces = [*large, *(face for face in small if not any(_same(face, other) for other in large))]
        return tuple(sorted(faces, key=lambda face: face.box.width * face.box.height, reverse=True))


def _detect_twice(reader: FaceReader, image: NDArray[np.uint8]) -> tuple[TrackedFace, ...]:
    """Return what is seen once the detector has looked everywhere, and once more, for a second look confirms a face."""
    reader.reset()
    detector, gray = reader.tracker.detector, to_gray(image)
    looks = detector.attempts(detector.shrink(gray)) + 1
    shown = image if reader.preprocessing.wants_colour else gray
    faces: tuple[TrackedFace, ...] = ()
    for number in range(looks):
        reader.begin_sequences()  # nothing moves: what a look shows a little elsewhere is no movement
        faces = reader.read(Frame(shown, number * FRAME_S, number)).faces
    return faces


def _same(one: TrackedFace, other: TrackedFace) -> bool:
    return overlap(_sides(one.box), _sides(other.box)) > SAME_FACE


def _sides(box: Box) -> tuple[float, float, float, float]:
    return box.x, box.y, box.width, box.height

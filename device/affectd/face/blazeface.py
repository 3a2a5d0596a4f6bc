"""Faces by BlazeFace short range (Bazarevsky et al. 2019, MediaPipe), at any roll, in TFLite.

It sees 128x128 pixels at a time: the whole picture and, in turn, its parts, in which smaller faces are large enough;
a face that was there a moment ago in a view of a few times its side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.face.contrast import Levels
from affectd.face.detector import FoundFace, SmallPicture, largest_first, overlap, shrunken
from affectd.face.preprocess import GrayImage, PixelBox, cut_square
from affectd.inference.interpreter import FloatArray, Interpreter

Points = NDArray[np.float64]

SIDE = 128
"""Of the network's input, pixels."""
SMALLEST_SIDE = 24
"""Pixels of the smallest face that it sees well: in one look it found 93 of 100, of 20 pixels 66, of 16 17."""
GLIMPSE, NEW, KNOWN = 0.3, 0.65, 0.5
"""Probability from which an anchor is worth a look from near, from which a face is one there, and from which one that
was there a moment ago still is, MediaPipe's own. At 0.5 a glimpse showed 72 of 100 faces of 24 pixels."""
MOST_GLIMPSES = 3
"""Of one view that are looked at from near."""
SAME_FACE = 0.3
"""Intersection over union from which two anchors show one face; MediaPipe's own."""
SIDE_OF_HAAR, LOWER = 0.92, 0.04
"""Side of its box over that of cascade alt2's, and how much lower it lies, in sides of alt2's. On 301 PublicTest faces
in scenes that alt2 found they measured 0.918 and 0.10. Of 417 face-vgg16 was right on 65.0 to 67.6 % with sides of
0.835 to 0.98 and places of 0 to 0.08, on 66.2 % with the place at which the face was put: all within chance (2.3)."""
LEAST_SIZE = 0.85
"""Of the smallest face, so that one of just that size is not lost by the tremble of its box."""
NEAR, CLOSER = 3.0, 2.3
"""Side of the view around a face over that of its box; of the second, closer one that a new face must stand."""
AGAIN = 0.6
"""Probability that a new face must have there too. Of 150 pictures without a face four passed the first look alone,
three of them a cat's eye, and one both; of 40 PublicTest faces of 200 pixels both looks lost none."""
STEP = 0.8
"""From one part of a picture to the next, in sides of a part, at most."""
PARTS_EACH = 2
"""Parts that one attempt looks into, besides the whole picture."""


@dataclass(frozen=True, slots=True)
class View:
    """A square of the small picture that the network is shown."""

    x: float
    y: float
    """Its middle, pixels."""
    side: float
    roll_deg: float = 0.0
    """How far it is turned, clockwise."""


class BlazeFaceDetector:
    """Finds faces at any roll that changes slowly, and at up to about 45 degrees at first sight."""

    def __init__(self, network: Interpreter, min_size: float = 0.1) -> None:
        """Find faces from `min_size` (fraction of the picture's height) up."""
        self._network, self._min_size = network, min_size
        self._anchors = anchors()

    def shrink(self, gray: GrayImage) -> SmallPicture:
        """Shrink a grey picture (height, width) until the smallest face is `SMALLEST_SIDE` pixels wide."""
        return shrunken(gray, max(SIDE, round(SMALLEST_SIDE / self._min_size)))

    def detect(self, picture: SmallPicture, attempt: int) -> list[FoundFace]:
        """Return the faces in the whole picture and in the next few of its parts, largest first."""
        rows, columns = picture.pixels.shape
        small = parts(rows, columns)
        turn = PARTS_EACH * attempt
        views = [whole(rows, columns), *(small[(turn + i) % len(small)] for i in range(min(PARTS_EACH, len(small))))]
        smallest = LEAST_SIZE * self._min_size * rows * picture.scale
        found: list[FoundFace] = []
        for glimpse in (glimpse for view in views for glimpse in self._look(picture, view, GLIMPSE)[:MOST_GLIMPSES]):
            # A small face's box and roll are poor, and much looks like a face from afar: each is looked at from near.
            if not _is_among(glimpse, found):
                near = self._look_near(picture, FoundFace(glimpse.box), NEAR, NEW)
                found += [face for face in near if face.box[2] >= smallest and self._stays(picture, face)]
        faces: list[FoundFace] = []
        for face in largest_first(found):
            if not _is_among(face, faces):
                faces.append(face)
        return faces

    def attempts(self, picture: SmallPicture) -> int:
        """Return after how many attempts every part of the picture has had its turn; a small one has no parts."""
        return max(1, math.ceil(len(parts(*picture.pixels.shape)) / PARTS_EACH))

    def detect_near(
        self,
        picture: SmallPicture,
        near: FoundFace,
        *,
        ask_roll: bool = True,  # noqa: ARG002 (it comes with the eyes)
    ) -> list[FoundFace]:
        """Return the faces around the place of `near`, largest first."""
        return largest_first(self._look_near(picture, near, NEAR, KNOWN))

    def _stays(self, picture: SmallPicture, face: FoundFace) -> bool:
        """Whether the face is there from closer too: what only resembles one seldom does so from two distances."""
        seen = self._look_near(picture, face, CLOSER, AGAIN)
        return any(overlap(face.box, other.box) > SAME_FACE for other in seen)

    def _look_near(
        self, picture: SmallPicture, near: FoundFace, distance: float, least_score: float
    ) -> list[FoundFace]:
        """Return the faces in a view around the place of `near`, whose side is `distance` times its box's."""
        x, y, width, height = (value / picture.scale for value in near.box)
        view = View(x + width / 2, y + height / 2, distance * width, near.roll_deg)
        return self._look(picture, view, least_score)

    def _look(self, picture: SmallPicture, view: View, least_score: float) -> list[FoundFace]:
        """Return the faces in a view, in pixels of the full picture, the most certain first."""
        side = max(1, round(view.side))
        cut = cut_square(picture.pixels, (view.x, view.y), side, view.roll_deg)
        cut = np.asarray(
            cv2.resize(cut, (SIDE, SIDE), interpolation=cv2.INTER_AREA if side > SIDE else cv2.INTER_LINEAR), np.uint8
        )
        values = Levels.of(cut).spread(cut).astype(np.float32) * np.float32(2 / 255) - np.float32(1)
        outputs = self._network.all_outputs(np.repeat(values[:, :, np.newaxis], 3, axis=2))
        regressors, scores = sorted(outputs, key=lambda each: -each.shape[-1])
        angle = math.radians(view.roll_deg)
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        faces = [
            _face(((points - 0.5) * side @ turn + (view.x, view.y)) * picture.scale)
            for points in suppressed(self._anchors, regressors, scores[:, 0], least_score)
        ]
        return [face for face in faces if face.box[2] >= LEAST_SIZE * SMALLEST_SIDE / SIDE * side * picture.scale]


def _is_among(face: FoundFace, faces: list[FoundFace]) -> bool:
    """Whether one of the faces is this one, or has it within: a mouth and a chin can look like a small face."""
    x, y, side, _ = face.box
    middle = (x + side / 2, y + side / 2, 1.0, 1.0)
    return any(overlap(face.box, other.box) > SAME_FACE or overlap(middle, other.box) > 0 for other in faces)


def whole(rows: int, columns: int) -> View:
    """Return the view of a whole picture."""
    return View(columns / 2, rows / 2, max(rows, columns))


def parts(rows: int, columns: int) -> list[View]:
    """Return views in which the faces are large enough that are too small for the network in the whole picture.

    Those of SIDE pixels show the smallest; each next size is twice as large.
    """
    views = []
    side = SIDE
    while 2.2 * side < max(rows, columns):
        across, down = (
            np.linspace(side / 2, length - side / 2, math.ceil((length - side) / (STEP * side)) + 1).tolist()
            if length > side
            else [length / 2]
            for length in (columns, rows)
        )
        views += [View(x, y, side) for y in down for x in across]
        side *= 2
    return views


def anchors() -> FloatArray:
    """Return the centres (896, 2) x, y of the network's anchors, 0..1: two at each of 16x16 places, six at 8x8."""
    centres = []
    for places, each in ((16, 2), (8, 6)):
        grid = (np.arange(places, dtype=np.float32) + np.float32(0.5)) / places
        xs, ys = np.meshgrid(grid, grid)
        centres.append(np.repeat(np.stack([xs.ravel(), ys.ravel()], axis=1), each, axis=0))
    return np.concatenate(centres)


def suppressed(centres: FloatArray, regressors: FloatArray, logits: FloatArray, least: float) -> list[Points]:
    """Return each face's points (8, 2), 0..1 of the view: box's top left and bottom right, then eyes and the rest.

    `least` is the score from which an anchor counts.

    Anchors that show one face are averaged by their scores, as MediaPipe does.
    """
    likely = np.flatnonzero(logits > math.log(least / (1 - least)))
    weights = 1 / (1 + np.exp(-logits[likely].astype(np.float64)))
    values = regressors[likely].astype(np.float64) / SIDE
    points = values.reshape(-1, 8, 2)
    points[:, [0, *range(2, 8)]] += centres[likely, np.newaxis]
    half = points[:, 1] / 2
    points[:, 1] = points[:, 0] + half
    points[:, 0] -= half
    order = np.argsort(-weights)
    faces = []
    while order.size:
        same = _overlaps(points[order[0], :2], points[order, :2]) > SAME_FACE
        same[0] = True
        group = order[same]
        faces.append(np.average(points[group], axis=0, weights=weights[group]))
        order = order[~same]
    return faces


def _overlaps(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    sides = np.clip(np.minimum(box[1], boxes[:, 1]) - np.maximum(box[0], boxes[:, 0]), 0, None)
    common = sides.prod(axis=1)
    areas = (boxes[:, 1] - boxes[:, 0]).prod(axis=1)
    return np.asarray(common / ((box[1] - box[0]).prod() + areas - common + 1e-12))


def _face(points: Points) -> FoundFace:
    """Return the face of points (8, 2) in pixels of the full picture, with a box such as alt2 has."""
    across, down = points[3] - points[2]
    roll = math.atan2(down, across)
    # Turned with the view its corners no longer are those of an upright box, but their distance stays.
    side = float(np.hypot(*(points[1] - points[0]))) / math.sqrt(2) / SIDE_OF_HAAR
    x, y = points[:2].mean(axis=0) + LOWER * side * np.array([math.sin(roll), -math.cos(roll)])
    box: PixelBox = (float(x) - side / 2, float(y) - side / 2, side, side)
    return FoundFace(box, math.degrees(roll))

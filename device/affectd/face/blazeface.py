"""Faces by BlazeFace short range (Bazarevsky et al. 2019, MediaPipe), at any roll, in TFLite.

It sees 128x128 pixels at a time: the whole picture and, in turn, its parts, in which smaller faces are large enough;
a face that was there a moment ago in a window of a few times its side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
UNIT = (np.arange(256) * (2 / 255) - 1).astype(np.float32)
"""The network's input, -1..1, of each grey level."""
SMALLEST_SIDE = 24
"""Pixels of the smallest face that it sees well: in one look it found 93 of 100, of 20 pixels 66, of 16 17."""
CANDIDATE, NEW, KNOWN = 0.25, 0.65, 0.5
"""Probability from which an anchor is worth a look from near, from which a face is one there, and from which one that
was there a moment ago still is, MediaPipe's own. At 0.5, 72 of 100 faces of 24 pixels were candidates."""
MOST_CANDIDATES = 3
"""Of one window that are looked at from near."""
SAME_FACE = 0.3
"""Intersection over union from which two anchors show one face; MediaPipe's own."""
SIDE_OF_HAAR, LOWER = 0.92, 0.04
"""Side of its box over that of cascade alt2's, and how much lower it lies, in sides of alt2's. On 301 PublicTest faces
in scenes that alt2 found they measured 0.918 and 0.10. Of 417 face-vgg16 was right on 65.0 to 67.6 % with sides of
0.835 to 0.98 and places of 0 to 0.08, on 66.2 % with the place at which the face was put: all within chance (2.3)."""
FAINTEST_SIDE = 17
"""Pixels of the smallest face that is worth a look from near."""
LEAST_SIZE = 0.85
"""Of the smallest face, so that one of just that size is not lost by the tremble of its box."""
NEAR, CLOSER, FARTHER = 3.0, 2.3, 4.0
"""Side of the window around a face over that of its box; of the two more windows that a new face must stand."""
SURE = 0.6
"""Probability that a new face must have in the closer window, and on the average of the three. With NEW, SAME_ROLL_DEG
and TURNED they let two of fifteen things pass at first sight that weaker tests took for a face (animals, lorries, a
drum), and 112 of 120 faces of FER2013's Training: small, behind a mask, and as they are."""
SAME_ROLL_DEG = 12.0
"""How far the rolls of two detections may be apart: of what is no face they often are farther."""
TURNS_DEG = (90.0, 180.0, 270.0)
"""How a new face is looked at once more: the network takes much for a face that hangs upside down, or is none, but a
real one is likeliest upright."""
TURNED = 0.05
"""How much likelier it may be turned, for a small or covered face is hardly likelier upright."""
STEEPEST_DEG = 60.0
"""Roll up to which a face is a new one: beyond, the camera lies on its side."""
TURNED_DEG = 10.0
"""Roll from which a window is turned with its face; the network estimates the roll of the rest as well."""
TILE_SIDE = 160
"""Of the smallest parts: faces of SMALLEST_SIDE are then seen with 19 pixels, and those up to 80 wholly in one."""
STEP = 0.7
"""From one part of a picture to the next, in sides of a part, at most."""
TILES_EACH = 2
"""Parts that one attempt looks into, besides the whole picture."""


@dataclass(frozen=True, slots=True)
class Window:
    """A square of the small picture that the network is shown."""

    x: float
    y: float
    """Its middle, pixels."""
    side: float
    roll_deg: float = 0.0
    """How far it is turned, clockwise."""


@dataclass(frozen=True, slots=True)
class Detection:
    """A face in a window."""

    face: FoundFace
    score: float
    """Probability of its likeliest anchor, 0..1."""


class BlazeFaceDetector:
    """Finds faces at any roll that changes slowly, and at up to about 45 degrees at first sight.

    A face is new only where the network is as sure of it from three distances and less so of it turned: a camera that
    hangs otherwise shows nobody, as with the cascade.
    """

    def __init__(self, network: Interpreter, min_size: float = 0.1) -> None:
        """Find faces from `min_size` (fraction of the picture's height) up."""
        self._network, self._min_size = network, min_size
        self._anchors = anchors()

    def shrink(self, gray: GrayImage) -> SmallPicture:
        """Shrink a grey picture (height, width) until the smallest face is `SMALLEST_SIDE` pixels wide."""
        return shrunken(gray, max(SIDE, round(SMALLEST_SIDE / self._min_size)))

    def detect(self, picture: SmallPicture, attempt: int, known: Sequence[FoundFace] = ()) -> list[FoundFace]:
        """Return the faces in the whole picture and in the next few of its parts that are not known, largest first."""
        rows, columns = picture.pixels.shape
        small = tiles(rows, columns)
        turn = TILES_EACH * attempt
        windows = [whole(rows, columns), *(small[(turn + i) % len(small)] for i in range(min(TILES_EACH, len(small))))]
        smallest = LEAST_SIZE * self._min_size * rows * picture.scale
        found: list[FoundFace] = []
        for candidate in (
            candidate
            for window in windows
            for candidate in self._detect_in(picture, window, CANDIDATE)[:MOST_CANDIDATES]
        ):
            # A small face's box and roll are poor, and much looks like a face from afar: each is looked at from near.
            if not _is_among(candidate.face, [*known, *found]):
                near = self._detect_around(picture, FoundFace(candidate.face.box), NEAR, NEW)
                found += [
                    detection.face
                    for detection in near
                    if detection.face.box[2] >= smallest and self._is_a_face(picture, detection)
                ]
        faces: list[FoundFace] = []
        for face in largest_first(found):
            if not _is_among(face, [*known, *faces]):
                faces.append(face)
        return faces

    def attempts(self, picture: SmallPicture) -> int:
        """Return after how many attempts every part of the picture has had its turn; a small one has no parts."""
        return max(1, math.ceil(len(tiles(*picture.pixels.shape)) / TILES_EACH))

    def detect_near(
        self,
        picture: SmallPicture,
        near: FoundFace,
        *,
        ask_roll: bool = True,  # noqa: ARG002 (it comes with the eyes)
    ) -> list[FoundFace]:
        """Return the faces around the place of `near`, largest first."""
        return largest_first([detection.face for detection in self._detect_around(picture, near, NEAR, KNOWN)])

    def _is_a_face(self, picture: SmallPicture, near: Detection) -> bool:
        """Whether what was seen from near stands a closer look, and is a face only when it is upright."""
        closer = self._best_around(picture, near.face, CLOSER)
        if closer is None or closer.score < SURE or abs(closer.face.roll_deg) > STEEPEST_DEG:
            return False
        if abs(closer.face.roll_deg - near.face.roll_deg) > SAME_ROLL_DEG:
            return False
        farther = self._best_around(picture, near.face, FARTHER)
        sure = (near.score + closer.score + (0.0 if farther is None else farther.score)) / 3
        if sure < SURE:
            return False
        turned = (
            self._best_around(picture, replace(near.face, roll_deg=near.face.roll_deg + degrees), CLOSER)
            for degrees in TURNS_DEG
        )
        return all(each is None or each.score <= sure + TURNED for each in turned)

    def _best_around(self, picture: SmallPicture, face: FoundFace, distance: float) -> Detection | None:
        """Return the likeliest detection of a face in a window around its place."""
        seen = self._detect_around(picture, face, distance, CANDIDATE)
        return next((each for each in seen if overlap(face.box, each.face.box) > SAME_FACE), None)

    def _detect_around(
        self, picture: SmallPicture, near: FoundFace, distance: float, least_score: float
    ) -> list[Detection]:
        """Return the faces in a window around the place of `near`, whose side is `distance` times its box's."""
        x, y, width, height = (value / picture.scale for value in near.box)
        roll = near.roll_deg if abs(near.roll_deg) > TURNED_DEG else 0.0
        return self._detect_in(picture, Window(x + width / 2, y + height / 2, distance * width, roll), least_score)

    def _detect_in(self, picture: SmallPicture, window: Window, least_score: float) -> list[Detection]:
        """Return the faces in a window, in pixels of the full picture, the most certain first."""
        side = max(1, round(window.side))
        cut = cut_square(picture.pixels, (window.x, window.y), side, window.roll_deg)
        cut = np.asarray(
            cv2.resize(cut, (SIDE, SIDE), interpolation=cv2.INTER_AREA if side > SIDE else cv2.INTER_LINEAR), np.uint8
        )
        values = cv2.LUT(Levels.of(cut).spread(cut), UNIT)
        outputs = self._network.all_outputs(np.asarray(cv2.cvtColor(values, cv2.COLOR_GRAY2BGR), np.float32))
        regressors, scores = sorted(outputs, key=lambda each: -each.shape[-1])
        angle = math.radians(window.roll_deg)
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        detections = [
            Detection(_face(((points - 0.5) * side @ turn + (window.x, window.y)) * picture.scale), score)
            for points, score in suppress_overlaps(self._anchors, regressors, scores[:, 0], least_score)
        ]
        smallest = FAINTEST_SIDE / SIDE * side * picture.scale
        return [detection for detection in detections if detection.face.box[2] >= smallest]


def _is_among(face: FoundFace, faces: list[FoundFace]) -> bool:
    """Whether one of the faces is this one, or has it within: a mouth and a chin can look like a small face."""
    x, y, side, _ = face.box
    middle = (x + side / 2, y + side / 2, 1.0, 1.0)
    return any(overlap(face.box, other.box) > SAME_FACE or overlap(middle, other.box) > 0 for other in faces)


def whole(rows: int, columns: int) -> Window:
    """Return the window of a whole picture."""
    return Window(columns / 2, rows / 2, max(rows, columns))


def tiles(rows: int, columns: int) -> list[Window]:
    """Return windows in which the faces are large enough that are too small for the network in the whole picture.

    Those of TILE_SIDE pixels show the smallest; each next size is twice as large.
    """
    windows = []
    side = TILE_SIDE
    while 1.5 * side < max(rows, columns):
        across, down = (
            np.linspace(side / 2, length - side / 2, math.ceil((length - side) / (STEP * side)) + 1).tolist()
            if length > side
            else [length / 2]
            for length in (columns, rows)
        )
        windows += [Window(x, y, side) for y in down for x in across]
        side *= 2
    return windows


def anchors() -> FloatArray:
    """Return the centres (896, 2) x, y of the network's anchors, 0..1: two at each of 16x16 places, six at 8x8."""
    centres = []
    for places, each in ((16, 2), (8, 6)):
        grid = (np.arange(places, dtype=np.float32) + np.float32(0.5)) / places
        xs, ys = np.meshgrid(grid, grid)
        centres.append(np.repeat(np.stack([xs.ravel(), ys.ravel()], axis=1), each, axis=0))
    return np.concatenate(centres)


def suppress_overlaps(
    centres: FloatArray, regressors: FloatArray, logits: FloatArray, least: float
) -> list[tuple[Points, float]]:
    """Return each face's points (8, 2), 0..1 of the window: box's top left and bottom right, then eyes and the rest.

    With them comes the score of its likeliest anchor; `least` is the one from which an anchor counts. Anchors that show
    one face are averaged by their scores, as MediaPipe does.
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
    faces: list[tuple[Points, float]] = []
    while order.size:
        same = _overlaps(points[order[0], :2], points[order, :2]) > SAME_FACE
        same[0] = True
        group = order[same]
        faces.append((np.average(points[group], axis=0, weights=weights[group]), float(weights[order[0]])))
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
    # Turned with the window its corners no longer are those of an upright box, but their distance stays.
    side = float(np.hypot(*(points[1] - points[0]))) / math.sqrt(2) / SIDE_OF_HAAR
    x, y = points[:2].mean(axis=0) + LOWER * side * np.array([math.sin(roll), -math.cos(roll)])
    box: PixelBox = (float(x) - side / 2, float(y) - side / 2, side, side)
    return FoundFace(box, math.degrees(roll))

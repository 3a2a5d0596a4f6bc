"""Faces in a grey picture by OpenCV's Haar cascade, on a copy just large enough for the smallest face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.errors import ModelError
from affectd.face.contrast import Levels, locally_stretched
from affectd.face.detector import FoundFace, SmallPicture, cut_around, largest_first, overlap, shrunken
from affectd.face.preprocess import GrayImage, PixelBox

# Of OpenCV's three frontal cascades (Lienhart & Maydt 2002) alt2 was the fastest, 17 ms of CPU for
# 320x240 against 22 (alt) and 25 (default), with about as many hits: 196 of 300 faces pasted into
# pictures, against 190 and 197. None saw a face in scenery.
# Equalizing the picture first, as often shown, lost a tenth of the hits and took longer: each
# window is normalized by the cascade anyway, if its contrast suffices, for which contrast.py cares.
CASCADE = "haarcascade_frontalface_alt2.xml"
SMALLEST_SIDE = 24
"""Pixels of the smallest face in the shrunken picture; the cascade was trained on 20."""
NEIGHBOURS, NEIGHBOURS_STRETCHED, NEIGHBOURS_NEAR = 3, 4, 2
"""Windows that must agree on a face; stretching brings out what looks like one, too."""
TURN_DEG = 15.0
"""Near its last place, where few windows must agree, the cascade still knows a face tilted by so much."""
STEEPEST_DEG = 45.0
"""A face is followed to this roll, and TURN_DEG beyond."""
LARGEST_SIDE = 60
"""Pixels of a face's side to which a larger one is shrunken near its last place: it costs by their number."""
HARDLY = 0.08
"""Sides of its box by which a face moves or grows that is wholly in sight of a look at its place alone."""
PLAIN = 128
"""Grey level of what is not looked at: the cascade passes windows without contrast in no time."""
CONTRASTY = 128
"""Grey levels from which a picture needs no stretching."""
FEWEST_ROWS = 160
"""Below this many rows a box is too coarse to cut a face out by."""


class HaarDetector:
    """Finds upright, roughly frontal faces; boxes are in pixels of the full picture."""

    def __init__(self, min_size: float = 0.1) -> None:
        """Find faces from `min_size` (fraction of the picture's height) up. Raises ModelError without a cascade."""
        # The cascade scales badly over threads, and they would take the classifiers' cores.
        cv2.setNumThreads(1)
        self._min_size = min_size
        self._cascade = cv2.CascadeClassifier(_cascade_path())

    def shrink(self, gray: GrayImage) -> SmallPicture:
        """Shrink a grey picture (height, width) until the smallest face is `SMALLEST_SIDE` pixels wide."""
        return shrunken(gray, max(FEWEST_ROWS, round(SMALLEST_SIDE / self._min_size)))

    def detect(
        self,
        picture: SmallPicture,
        attempt: int,
        known: Sequence[FoundFace] = (),  # noqa: ARG002 (it takes as long without them)
    ) -> list[FoundFace]:
        """Return the upright faces, largest first; every second attempt looks for backlit ones.

        Those have no contrast in a picture that as a whole has it.
        """
        backlit = attempt % 2 == 1
        levels = Levels.of(picture.pixels)
        pixels = levels.spread(picture.pixels)
        if backlit:
            pixels = locally_stretched(pixels)
        flat = levels.white - levels.black < CONTRASTY
        neighbours = NEIGHBOURS_STRETCHED if backlit or flat else NEIGHBOURS
        smallest = max(2, round(self._min_size * picture.pixels.shape[0]))
        pixels, (left, top) = (pixels, (0, 0)) if picture.cells is None else _only(pixels, picture.cells)
        found = self._cascade.detectMultiScale(
            pixels, scaleFactor=1.2, minNeighbors=neighbours, minSize=(smallest, smallest)
        )
        boxes, scale = np.reshape(found, (-1, 4)).tolist(), picture.scale
        return largest_first(
            [FoundFace(((left + x) * scale, (top + y) * scale, w * scale, h * scale)) for x, y, w, h in boxes]
        )

    def attempts(self, picture: SmallPicture) -> int:  # noqa: ARG002
        """Return 2: one for faces in the light, one for backlit ones."""
        return 2

    def detect_near(self, picture: SmallPicture, near: FoundFace, *, ask_roll: bool = True) -> list[FoundFace]:
        """Return the face of about the size of `near` in its place, at its roll or up to TURN_DEG to either side.

        At most half a face to each side and a quarter up or down in size is searched. Where a face has just been, fewer
        neighbours and finer steps are safe. The roll is the mean of those at which the cascade saw a face, weighed by
        how many of its windows did; asking for it takes as long as all the rest.
        """
        held = min(max(near.roll_deg, -STEEPEST_DEG), STEEPEST_DEG)
        close = self._detect_closely(picture, near.box, held)
        place = close or self._detect_at_roll(picture, near.box, held, _WIDE)
        if place is not None and not ask_roll:
            return [FoundFace(place.box, near.roll_deg)]
        # Once the face is found, its roll is measured in its place alone.
        around, scope = (near.box, _WIDE) if place is None else (place.box, _IN_PLACE)
        turns = (-TURN_DEG, TURN_DEG) if close else (-TURN_DEG, 0.0, TURN_DEG)
        looks = (self._detect_at_roll(picture, around, held + turn, scope) for turn in turns)
        seen = [each for each in (close, *looks) if each is not None] or ([] if place is None else [place])
        if not seen:
            return []
        roll = sum(each.windows * each.roll_deg for each in seen) / sum(each.windows for each in seen)
        best = place or max(seen, key=lambda each: each.windows)
        return [FoundFace(best.box, roll)]

    def _detect_closely(self, picture: SmallPicture, box: PixelBox, roll_deg: float) -> _Seen | None:
        """Return the face that has moved little, in half the time; looking twice, as part may be out of sight."""
        for _ in range(2):
            seen = self._detect_at_roll(picture, box, roll_deg, _TIGHT)
            if seen is None:
                return None
            if max(abs(new - old) for new, old in zip(seen.box, box, strict=True)) <= HARDLY * box[2]:
                return seen
            box = seen.box
        return None

    def _detect_at_roll(self, picture: SmallPicture, box: PixelBox, roll_deg: float, scope: _Scope) -> _Seen | None:
        """Return the face in the place of `box` that is upright once the picture is turned back by `roll_deg`."""
        turned = _Turned.cut(picture, box, roll_deg, scope.margin)
        if turned is None:
            return None
        found, windows = self._cascade.detectMultiScale2(
            turned.pixels,
            scaleFactor=1.1,
            minNeighbors=NEIGHBOURS_NEAR,
            minSize=(round(turned.side * scope.smallest),) * 2,
            maxSize=(round(turned.side * scope.largest),) * 2,
        )
        if not len(found):
            return None
        boxes = [turned.in_picture(each) for each in np.asarray(found, np.float64)]
        best = max(range(len(boxes)), key=lambda i: overlap(box, boxes[i]))
        return _Seen(boxes[best], roll_deg, int(np.ravel(windows)[best]))


@dataclass(frozen=True, slots=True)
class _Scope:
    """How far around a face's place is searched."""

    margin: float
    """Beyond each border of its box, in sides of it."""
    smallest: float
    largest: float
    """Sides of the faces looked for, over that of its box."""


_WIDE, _TIGHT, _IN_PLACE = _Scope(0.5, 0.75, 1.33), _Scope(0.2, 0.8, 1.25), _Scope(0.12, 0.8, 1.25)


@dataclass(frozen=True, slots=True)
class _Seen:
    box: PixelBox
    roll_deg: float
    windows: int
    """Of the cascade that agree on it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Turned:
    """A square cut out around a face's place, turned about its middle, and shrunken when it is large."""

    pixels: GrayImage
    side: float
    """Of the face's box in it, pixels."""
    to_picture: NDArray[np.float64]
    """(2, 3): from its pixels to those of the full picture."""

    @classmethod
    def cut(cls, picture: SmallPicture, box: PixelBox, roll_deg: float, margin: float) -> _Turned | None:
        """Cut it out with so much margin; None where the face lies outside of the picture."""
        x, y, width, _ = (value / picture.scale for value in box)
        face, _ = cut_around(picture, box, margin=0.0)
        if face.size == 0:
            return None
        zoom = min(1.0, LARGEST_SIDE / width)
        size = max(2, round((1 + 2 * margin) * width * zoom))
        centre = (x + width / 2, y + width / 2)
        turn = cv2.getRotationMatrix2D(centre, roll_deg, zoom)
        turn[:, 2] += size / 2 - np.array(centre)
        pixels = cv2.warpAffine(picture.pixels, turn, (size, size), borderMode=cv2.BORDER_REPLICATE)
        levels = Levels.of(face)
        back = np.asarray(cv2.invertAffineTransform(turn), np.float64) * picture.scale
        return cls(levels.spread(np.asarray(pixels, np.uint8)), width * zoom, back)

    def in_picture(self, found: NDArray[np.float64]) -> PixelBox:
        """Return x, y, width, height here as an unturned box in pixels of the full picture."""
        x, y, width, height = found
        middle = self.to_picture @ (x + width / 2, y + height / 2, 1.0)
        side = float(np.hypot(*self.to_picture[:, 0]) * width)
        return float(middle[0]) - side / 2, float(middle[1]) - side / 2, side, side


def _only(pixels: GrayImage, cells: NDArray[np.bool_]) -> tuple[GrayImage, tuple[int, int]]:
    """Return the part of a picture that holds the cells, with the rest of it plain, and its left and top."""
    inside = cv2.resize(cells.astype(np.uint8), pixels.shape[::-1], interpolation=cv2.INTER_NEAREST)
    left, top, width, height = cv2.boundingRect(inside)
    part = np.s_[top : top + height, left : left + width]
    return np.where(inside[part], pixels[part], np.uint8(PLAIN)), (left, top)


def _cascade_path() -> str:
    # Debian's OpenCV has no cv2.data; it keeps the files in /usr/share.
    folder = Path(getattr(getattr(cv2, "data", None), "haarcascades", "/usr/share/opencv4/haarcascades"))
    path = folder / CASCADE
    if not path.is_file():
        raise ModelError(f"face detector: {path} is missing; install opencv-python-headless, 4.10 or later, below 5")
    return str(path)

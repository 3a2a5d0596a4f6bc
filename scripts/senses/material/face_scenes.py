"""Scenes of faces: FER2013's PublicTest and a portrait composed into rooms, tilted, small, several, covered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.face.preprocess import GrayImage, PixelBox
from affectd_convert.evaluation.robustness.faces import sensed
from affectd_convert.evaluation.robustness.scenes import HEIGHT, SIDE, WIDTH, Condition, compose, conditions, room
from affectd_convert.evaluation.robustness.scenes import Scene as Composed

PORTRAIT = Path(__file__).parents[3] / "tests" / "media" / "astronaut.jpg"
PORTRAIT_FACE = (225.0, 122.0, 110.0)
"""Centre and side of its face, pixels."""
SIZES = (150, 100, 64, 48, 32, 24)
TILTS = (15, 25, 35)
Picture = NDArray[np.float32]
"""Light 0..255 (HEIGHT, WIDTH)."""
Shot = tuple[Callable[[], GrayImage], list[PixelBox]]
"""A camera that gives frame after frame of a scene, and the faces in it."""
Make = Callable[..., Composed]


@dataclass(frozen=True)
class Row:
    """One row of the table of what is found."""

    name: str
    shot: Callable[[int], Shot]
    """Of the number of a face."""
    min_size: float = 0.1


class Faces:
    """Scenes of PublicTest's faces and of the portrait; the same number gives the same scene."""

    def __init__(self, data: Path, count: int) -> None:
        """Read the data, and draw `count` faces that its taggers took for one."""
        with np.load(data) as stored:
            public = (stored["usage"] == 1) & (stored["ferplus"][:, 9] == 0)
            pixels, labels = stored["pixels"][public], stored["label"][public]
        self._order = np.random.default_rng(0).permutation(len(pixels))
        self._pixels, self._labels, self.count = pixels, labels, count
        self._rooms = [room(np.random.default_rng((0, number))) for number in range(20)]
        self._portrait = cv2.imread(str(PORTRAIT), cv2.IMREAD_GRAYSCALE)

    def label(self, number: int) -> int:
        """Return the emotion of a face."""
        return int(self._labels[self._order[number]])

    def tight(self, number: int, side: int = SIDE, change: Callable[[GrayImage], GrayImage] | None = None) -> Composed:
        """Put one of PublicTest's faces into a room."""
        rng = np.random.default_rng((1, number))
        crop = self._pixels[self._order[number]]
        return compose(self._rooms[number % 20], crop if change is None else change(crop), rng, side)

    def loose(self, number: int, side: int = SIDE) -> Composed:
        """Put the portrait's head and shoulders into a room."""
        rng = np.random.default_rng((2, number))
        return self._with_head(self._portrait, number, side, rng)

    def framed(self, number: int, side: int = SIDE, change: Callable[[GrayImage], GrayImage] | None = None) -> Composed:
        """Put one of PublicTest's faces into the portrait's head, and that into a room."""
        crop = self._pixels[self._order[number]]
        crop = crop if change is None else change(crop)
        x, y, size = PORTRAIT_FACE
        wide = round(1.05 * size)  # FER2013's crops are that much larger than a detector's box
        left, top = round(x - wide / 2), round(y - wide / 2)
        place = np.s_[top : top + wide, left : left + wide]
        own = self._portrait[place].astype(np.float32)
        face = cv2.resize(crop, (wide, wide), interpolation=cv2.INTER_CUBIC).astype(np.float32)
        face = (face - face.mean()) * (own.std() / max(1.0, float(face.std()))) + own.mean()
        inside = cv2.ellipse(np.zeros_like(own), (wide // 2, wide // 2), (46, 52), 0, 0, 360, 1.0, -1)
        inside = cv2.GaussianBlur(inside, (0, 0), 5)
        head = self._portrait.copy()
        head[place] = np.clip(face * inside + own * (1 - inside), 0, 255).astype(np.uint8)
        return self._with_head(head, number, side, np.random.default_rng((2, number)))

    def _with_head(self, portrait: GrayImage, number: int, side: int, rng: np.random.Generator) -> Composed:
        """Put head and shoulders into a room."""
        x, y, size = PORTRAIT_FACE
        zoom = side * rng.uniform(0.9, 1.1) / size
        reach = 0.9 * side
        place = (rng.uniform(reach, WIDTH - reach), rng.uniform(reach, HEIGHT - reach))
        turn = cv2.getRotationMatrix2D((x, y), rng.uniform(-8, 8), zoom)
        turn[:, 2] += np.array(place) - (x, y)
        if rng.random() < 0.5:
            turn[0] = -turn[0]
            turn[0, 2] += 2 * place[0]
        head = cv2.ellipse(np.zeros(portrait.shape, np.float32), (225, 117), (95, 115), 0, 0, 360, 1.0, -1)
        moved = [cv2.warpAffine(each, turn, (WIDTH, HEIGHT), flags=cv2.INTER_AREA) for each in (portrait, head)]
        mask = cv2.GaussianBlur(moved[1], (0, 0), side / 30)
        lit = 255 * (moved[0].astype(np.float32) / 255) ** rng.uniform(0.7, 1.5)
        box = (place[0] - side / 2, place[1] - side / 2, float(side), float(side))
        return Composed(self._rooms[number % 20] * (1 - mask) + lit * mask, mask, box)

    def several_framed(self, number: int, count: int, side: int) -> tuple[Picture, list[PixelBox]]:
        """Put so many heads beside each other, each somewhere in a strip of the same room."""
        light, boxes = self._rooms[number % 20].copy(), []
        for i in range(count):
            scene = self.framed(number + i * 211, side)
            x, y, width, height = scene.face
            shift = round((i + 0.5) * WIDTH / count - x - width / 2)
            lit, head = (
                cv2.warpAffine(each, np.array([[1, 0, shift], [0, 1, 0]], np.float32), (WIDTH, HEIGHT))
                for each in (scene.light, scene.head)
            )
            light = light * (1 - head) + lit * head
            boxes.append((x + shift, y, width, height))
        return light, boxes

    def several(self, number: int, count: int, side: int) -> tuple[Picture, list[PixelBox]]:
        """Put so many faces beside each other."""
        width = WIDTH // count
        parts = [
            compose(
                self._rooms[number % 20][:, i * width : (i + 1) * width],
                self._pixels[self._order[number + i * 211]],
                np.random.default_rng((3, number, i)),
                side,
            )
            for i in range(count)
        ]
        boxes = [(part.face[0] + i * width, *part.face[1:]) for i, part in enumerate(parts)]
        return np.concatenate([part.light for part in parts], axis=1), boxes


def rows(faces: Faces) -> Iterator[Row]:
    """Return the rows of the table of what is found."""
    kinds: dict[str, Make] = {"portrait": faces.loose, "with a head": faces.framed, "PublicTest": faces.tight}
    for kind, make in kinds.items():
        for name, condition in conditions().items():
            if not name.startswith(("blur", "JPEG")):
                yield Row(f"{kind}, {name}", partial(_in_condition, make, condition))
        for degrees in TILTS:
            yield Row(f"{kind}, tilted by {degrees}", partial(_tilted, make, degrees))
        for side in SIZES:
            yield Row(f"{kind}, {side} pixels", partial(_sized, make, side), min(0.1, 0.8 * side / HEIGHT))
    for count, side in ((2, 150), (5, 72)):
        for kind, several in (("with a head", faces.several_framed), ("PublicTest", faces.several)):
            yield Row(f"{kind}, {count} faces of {side} pixels", partial(_several, several, count, side))
    for name, cover in (("glasses", glasses), ("mask", mask)):
        for kind, make in (("with a head", faces.framed), ("PublicTest", faces.tight)):
            yield Row(f"{kind}, {name}", partial(_covered, make, cover))


def _camera(light: Picture, number: int) -> Callable[[], GrayImage]:
    rng = np.random.default_rng((4, number))
    return lambda: sensed(light, 1.0, rng)


def _in_condition(make: Make, condition: Condition, number: int) -> Shot:
    scene, rng = make(number), np.random.default_rng((4, number))
    return lambda: condition(scene, rng), [scene.face]


def _tilted(make: Make, degrees: int, number: int) -> Shot:
    scene = make(number)
    return _camera(leaned(scene, degrees * (-1) ** number), number), [scene.face]


def _sized(make: Make, side: int, number: int) -> Shot:
    scene = make(number, side)
    return _camera(scene.light, number), [scene.face]


def _several(
    several: Callable[[int, int, int], tuple[Picture, list[PixelBox]]], count: int, side: int, number: int
) -> Shot:
    light, boxes = several(number, count, side)
    return _camera(light, number), boxes


def _covered(make: Make, cover: Callable[[GrayImage], GrayImage], number: int) -> Shot:
    scene = make(number, change=cover)
    return _camera(scene.light, number), [scene.face]


def leaned(scene: Composed, degrees: float) -> Picture:
    """Return the scene's light, turned clockwise about its face."""
    x, y, width, height = scene.face
    turn = cv2.getRotationMatrix2D((x + width / 2, y + height / 2), -degrees, 1.0)
    return np.asarray(cv2.warpAffine(scene.light, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT), np.float32)


def glasses(crop: GrayImage) -> GrayImage:
    """Draw dark frames around the eyes of a 48-pixel crop."""
    big = cv2.resize(crop, (192, 192), interpolation=cv2.INTER_CUBIC)
    for x in (58, 134):
        cv2.ellipse(big, (x, 78), (32, 22), 0, 0, 360, 25, 5)
    cv2.line(big, (90, 74), (102, 74), 25, 5)
    return np.asarray(big, np.uint8)


def mask(crop: GrayImage) -> GrayImage:
    """Cover nose, mouth and chin of a 48-pixel crop."""
    big = cv2.resize(crop, (192, 192), interpolation=cv2.INTER_CUBIC)
    cv2.fillPoly(big, [np.array([[30, 105], [96, 90], [162, 105], [150, 180], [96, 192], [42, 180]], np.int32)], 205)
    return np.asarray(big, np.uint8)

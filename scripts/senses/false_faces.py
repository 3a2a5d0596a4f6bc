"""What the face detectors take for a face: pictures in which there is none, each before a camera for a moment.

scripts/prove-senses false_faces [--pictures FOLDER] [--jobs N]

The pictures are the wallpapers and stamps of Debian's packages and those that come with scikit-image and scikit-learn,
which apt-get and pip download into FOLDER (a temporary one unless it is given), and pages of text, leaves, bricks and
scenery made by program. People, their statues and toys, drawn faces, apes, and what is almost the same as a picture
before are left out by name or correlation. Ends with 1 when a detector sees somebody in more than 1 of 100.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.assembly import make_face_detector
from affectd.config import Config, FaceConfig
from affectd.face.preprocess import GrayImage
from affectd.face.tracker import FaceTracker
from affectd_convert.evaluation.robustness.faces import sensed
from affectd_convert.evaluation.robustness.scenes import HEIGHT, WIDTH, room

DETECTORS = ("haar", "blazeface")
FRAMES, FPS = 12, 10.0
"""Each picture is shown for 1.2 s: full detection runs on every second frame."""
MINUTE, MINUTES_EVERY = 600, 20
"""Frames of a still scene in which nobody may be seen, and of how many pictures one is shown for so long."""
LIGHTS = (1.0, 0.3, 0.1)
ALIKE = 0.97
"""Correlation at 16x16 pixels from which two pictures are one."""
FEWEST_LEVELS = 6.0
"""Deviation of the grey levels of a picture that shows something."""
BAR = 0.01
PACKAGES = (
    *("gnome-backgrounds", "mate-backgrounds", "plasma-workspace-wallpapers", "sway-backgrounds", "ukui-wallpapers"),
    *("lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04", "lxqt-themes", "tuxpaint-stamps-default"),
)
WHEELS = ("scikit-image==0.25.2", "scikit-learn==1.6.1")
LEFT_OUT = (
    *("people", "apes", "toys", "cartoon", "/faces/", "halloween", "seasonal", "money", "monuments", "symbols"),
    *("military", "clothes", "screenshot", "Autumn", "firstgeneration", "the-mouse"),
    *("astronaut", "camera.png", "coins", "lfw_subset", "motorcycle", "skin"),
)
"""In the names of pictures that show people or their likeness, or might."""


def main() -> int:
    """Measure and print; return 1 when a detector sees somebody in more than BAR of the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="where the packages are, or are downloaded to")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that share them (default 1)")
    args, _ = parser.parse_known_args()  # scripts/prove-senses gives every part the options of all
    cv2.setNumThreads(1)  # a process that is forked after OpenCV's threads have begun waits for them for ever
    with tempfile.TemporaryDirectory() as scratch:
        pictures = distinct([*packaged(args.pictures or Path(scratch)), *made()])
    print(
        f"{len(pictures)} pictures without a face, {WIDTH}x{HEIGHT}, {FRAMES} frames each: those in which one is seen"
    )
    print(f"{'':<28}" + "".join(f"{name:>12}" for name in DETECTORS))
    _PICTURES.extend(pictures)
    missed = False
    # Forked, so that the workers have the pictures.
    with ProcessPoolExecutor(args.jobs, mp_context=multiprocessing.get_context("fork")) as pool:
        for light in LIGHTS:
            looks = list(pool.map(partial(_seen_by, light), range(len(pictures))))
            counts = [sum(name in names for names in looks) for name in DETECTORS]
            print(f"{f'{light:.0%} of the light':<28}" + "".join(f"{count:>12}" for count in counts))
            for (title, _), names in zip(pictures, looks, strict=True):
                print("".join(f"    {name}: {title}\n" for name in names), end="", flush=True)
            missed |= max(counts) > BAR * len(pictures)
        still = range(0, len(pictures), MINUTES_EVERY)
        print(f"\n{len(still)} of them for a minute each in 30 % of the light: frames with a face")
        for name in DETECTORS:
            frames = sum(pool.map(partial(_seen_in_a_minute, name), still))
            print(f"{name:<28}{frames} of {MINUTE * len(still)}", flush=True)
    return int(missed)


_PICTURES: list[tuple[str, GrayImage]] = []


def _seen_by(light: float, number: int) -> list[str]:
    """Return which detectors see a face in a picture."""
    rng = np.random.default_rng((8, number))
    frames = [sensed(_PICTURES[number][1], light, rng) for _ in range(3)]
    return [name for name in DETECTORS if seen_in(frames, FRAMES, name)]


def _seen_in_a_minute(name: str, number: int) -> int:
    rng = np.random.default_rng((9, number))
    return seen_in([sensed(_PICTURES[number][1], 0.3, rng) for _ in range(7)], MINUTE, name)


def seen_in(frames: list[GrayImage], count: int, name: str) -> int:
    """Return in how many of so many frames the daemon's tracker has a face."""
    tracker = FaceTracker(make_face_detector(Config(face=FaceConfig(detector=name))))
    return sum(bool(tracker.update(frames[i % len(frames)], i / FPS)) for i in range(count))


def packaged(folder: Path) -> Iterator[tuple[str, GrayImage]]:
    """Return the pictures of the packages in `folder`, downloaded where they are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    absent = [name for name in PACKAGES if not list(folder.glob(f"{name}_*.deb"))]
    if absent:
        subprocess.run(["apt-get", "download", "-qq", *absent], cwd=folder, check=True)
    if not list(folder.glob("*.whl")):
        command = ["pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
        target = ["--python-version", "3.11", "--platform", "manylinux_2_17_x86_64"]
        subprocess.run([*command, *target, *WHEELS], check=True)
    for package in sorted(folder.glob("*.deb")):
        with tempfile.TemporaryDirectory() as tree:
            subprocess.run(["dpkg-deb", "--extract", str(package), tree], check=True)
            files = sorted(path for path in Path(tree).rglob("*") if path.is_file() and not path.is_symlink())
            for path in files:
                yield from _picture(f"{package.name.partition('_')[0]} {path.relative_to(tree)}", path.read_bytes)
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in sorted(archive.namelist()):
                if "/data" in name or "/images/" in name:
                    yield from _picture(name, partial(archive.read, name))


def _picture(title: str, read: Callable[[], bytes]) -> Iterator[tuple[str, GrayImage]]:
    """Return the middle of a picture at the camera's size; what is see-through lies before a plain wall."""
    kinds = (".jpg", ".jpeg", ".png", ".webp")
    if not title.lower().endswith(kinds) or any(word in title for word in LEFT_OUT):
        return
    content = read()
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or len(content) < 20_000 or min(image.shape[:2]) < 100:
        return
    image = np.asarray(image / 257 if image.dtype == np.uint16 else image, np.uint8)
    gray = image if image.ndim == 2 else cv2.cvtColor(image[:, :, :3], cv2.COLOR_BGR2GRAY)
    if image.ndim == 3 and image.shape[2] == 4:
        wall, seen = np.full(gray.shape, 200.0), image[:, :, 3] / 255
        gray = np.rint(gray * seen + wall * (1 - seen)).astype(np.uint8)
        yield title, _before_wall(gray)
    else:
        yield title, _middle(gray)


def _middle(gray: NDArray[np.uint8]) -> GrayImage:
    rows, columns = gray.shape
    height = int(min(rows, columns * HEIGHT / WIDTH))
    width = height * WIDTH // HEIGHT
    top, left = (rows - height) // 2, (columns - width) // 2
    part = gray[top : top + height, left : left + width]
    return np.asarray(cv2.resize(part, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def _before_wall(gray: NDArray[np.uint8]) -> GrayImage:
    """Return the whole of it, as large as fits."""
    zoom = min(WIDTH / gray.shape[1], HEIGHT / gray.shape[0])
    thing = cv2.resize(gray, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    down, across = HEIGHT - thing.shape[0], WIDTH - thing.shape[1]
    edges = down // 2, down - down // 2, across // 2, across - across // 2
    return np.asarray(cv2.copyMakeBorder(thing, *edges, cv2.BORDER_CONSTANT, value=200), np.uint8)


def made() -> Iterator[tuple[str, GrayImage]]:
    """Return pages of text, leaves, bricks and scenery."""
    for number in range(10):
        rng = np.random.default_rng((10, number))
        yield f"made: page {number}", _page(rng)
        yield f"made: leaves {number}", _leaves(rng)
        yield f"made: bricks {number}", _bricks(rng)
        yield f"made: scenery {number}", np.asarray(room(rng), np.uint8)


def _page(rng: np.random.Generator) -> GrayImage:
    page = np.full((HEIGHT, WIDTH), 235, np.uint8)
    size = rng.uniform(0.5, 2.0)
    for y in range(20, HEIGHT, int(30 * size)):
        letters = "".join(rng.choice(list("etaoinshrdlcumwfgypbvk  0123456789%&"), 60))
        cv2.putText(page, letters, (10, y), int(rng.integers(0, 8)), size, 30, int(1 + size), cv2.LINE_AA)
    return page


def _leaves(rng: np.random.Generator) -> GrayImage:
    tree = np.full((HEIGHT, WIDTH), 40, np.uint8)
    for _ in range(1500):
        place, grown = rng.integers(0, (WIDTH, HEIGHT)), rng.uniform(4, 26)
        shape = (int(grown), max(1, int(grown * rng.uniform(0.3, 0.6))))
        cv2.ellipse(tree, place.tolist(), shape, float(rng.uniform(0, 180)), 0, 360, int(rng.integers(30, 220)), -1)
    return tree


def _bricks(rng: np.random.Generator) -> GrayImage:
    wall, height = np.full((HEIGHT, WIDTH), 190, np.uint8), int(rng.integers(14, 60))
    for row, y in enumerate(range(0, HEIGHT, height)):
        for x in range(-height * (row % 2), WIDTH, 2 * height):
            cv2.rectangle(wall, (x, y), (x + 2 * height - 4, y + height - 4), int(rng.integers(70, 150)), -1)
    return wall


def distinct(pictures: list[tuple[str, GrayImage]]) -> list[tuple[str, GrayImage]]:
    """Leave out those that show nothing, and those that look like one before."""
    kept: list[tuple[str, GrayImage]] = []
    seen: list[NDArray[np.float64]] = []
    for title, picture in pictures:
        small = cv2.resize(picture, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float64)
        small = (small - small.mean()) / max(small.std(), 1e-6)
        if picture.std() >= FEWEST_LEVELS and not any(np.mean(small * other) > ALIKE for other in seen):
            kept.append((title, picture))
            seen.append(small)
    return kept


if __name__ == "__main__":
    raise SystemExit(main())

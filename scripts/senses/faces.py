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
from dataclasses import replace
from functools import cache, partial
from itertools import cycle
from pathlib import Path

import numpy as np
from material.face_scenes import Faces, Row, leaned, rows

from affectd.assembly import make_face_detector, open_configured_model
from affectd.config import Config, FaceConfig
from affectd.face.detector import FaceDetector, FoundFace, overlap
from affectd.face.preprocess import FacePreprocessing, GrayImage, PixelBox
from affectd.face.tracker import FaceTracker, Track
from affectd_convert.evaluation.robustness.faces import sensed
from affectd_convert.evaluation.robustness.scenes import Scene as Composed

FRAMES, FPS = 12, 10.0
"""A face must be found within 1.2 s: full detection runs on every second frame."""
SAME = 0.3
"""Intersection over union of a box with the face that was put there."""
STEEPEST, KEPT_TO = 40, 30
"""Degrees to which a head leans, a degree a frame, and to which a bar says that it is kept."""
TAKES = 3
"""Of a scene; so many frames come before noise is seen again."""
Detectors = dict[str, Callable[[float], FaceDetector]]
"""By name; of the smallest face that one is to find."""


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
                    probabilities = model.probabilities(preprocessing.prepare_still(crop)[np.newaxis])
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

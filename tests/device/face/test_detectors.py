"""Both detectors in a real room: in little light, haze and against a window, from a camera that hangs any way."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.assembly import make_face_detector
from affectd.config import Config, FaceConfig
from affectd.face.detector import FaceDetector, overlap
from affectd.face.preprocess import GrayImage, to_gray
from affectd.face.tracker import FaceTracker
from support.scenes import scene

PLACES = [(170, 150, 190), (430, 260, 160), (300, 220, 130), (480, 160, 110), (200, 330, 96)]
"""Centre and side of the portrait's face in each scene."""
FRAMES = 6
Light = NDArray[np.float64]


@pytest.fixture(params=["haar", "blazeface"])
def detector(request: pytest.FixtureRequest) -> FaceDetector:
    return make_face_detector(Config(face=FaceConfig(detector=request.param)))


def sensed(light: Light, seed: int) -> GrayImage:
    """What a small sensor makes of light of 0..255: shot noise, noise of reading, 256 levels."""
    rng = np.random.default_rng(seed)
    electrons = rng.poisson(light * (1000 / 255)) + 3 * rng.standard_normal(light.shape)
    return np.clip(np.rint(electrons * (255 / 1000)), 0, 255).astype(np.uint8)


def backlit(light: Light, empty: Light) -> Light:
    """A bright window behind, three tenths of the light on who stands before it."""
    return np.where(light != empty, 0.3 * light, 215.0)


ROOMS: dict[str, Callable[[Light, Light], Light]] = {
    "full light": lambda light, _: light,
    "30 % of the light": lambda light, _: 0.3 * light,
    "10 % of the light": lambda light, _: 0.1 * light,
    "5 % of the light": lambda light, _: 0.05 * light,
    "haze": lambda light, _: 150 + 0.2 * (light - light.mean()),
    "backlight": backlit,
}


@pytest.mark.parametrize("room", ROOMS)
def test_who_comes_in_is_seen_in_any_light(detector: FaceDetector, room: str) -> None:
    seen = 0
    for number, (x, y, side) in enumerate(PLACES):
        tracker = FaceTracker(detector)
        light = ROOMS[room](*(to_gray(each).astype(np.float64) for each in (scene((x, y, side)), scene())))
        for frame in range(FRAMES):
            tracks = tracker.update(sensed(light, FRAMES * number + frame), frame / 10)
            if any(overlap(track.box, (x - side / 2, y - side / 2, side, side)) > 0.3 for track in tracks):
                seen += 1
                break
    assert seen >= len(PLACES) - 1


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("side", [70, 150])
def test_nobody_is_seen_by_a_camera_that_hangs_otherwise(detector: FaceDetector, quarters: int, side: int) -> None:
    picture = to_gray(np.ascontiguousarray(np.rot90(scene((250, 220, side)), quarters)))
    tracker = FaceTracker(detector)
    assert not any(tracker.update(picture, frame / 10) for frame in range(12))


@pytest.mark.parametrize("kind", ["page", "leaves", "bricks", "lamps"])
def test_nobody_is_seen_where_nobody_is(detector: FaceDetector, kind: str) -> None:
    rng = np.random.default_rng(0)
    picture = np.full((480, 640), 120, np.uint8)
    for _ in range(300):
        x, y = (int(each) for each in rng.integers(0, (640, 480)))
        level, size = int(rng.integers(20, 235)), int(rng.integers(8, 40))
        if kind == "page":
            cv2.putText(picture, chr(97 + level % 26), (x, y), level % 8, size / 12, level, 2, cv2.LINE_AA)
        elif kind == "leaves":
            cv2.ellipse(picture, (x, y), (size, size // 2), level, 0, 360, level, -1)
        elif kind == "bricks":
            cv2.rectangle(picture, (x // 40 * 40, y // 20 * 20), (x // 40 * 40 + 36, y // 20 * 20 + 16), level, -1)
        else:
            cv2.circle(picture, (x, y), size, level, -1)
    tracker = FaceTracker(detector)
    assert not any(tracker.update(sensed(picture.astype(np.float64), frame), frame / 10) for frame in range(8))

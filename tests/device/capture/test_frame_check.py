"""What is no picture, stands still or shows nothing is a fault in a sentence; grey and coloured pictures pass."""

from __future__ import annotations

import contextlib
import itertools
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from affectd.capture.camera_options import CameraOptions
from affectd.capture.frame_check import CheckedCamera
from affectd.errors import CaptureError
from affectd.events import Frame


class Scripted:
    """A camera that sends one picture after the other, `every_s` apart, and then the last again and again."""

    name = "scripted"
    mode = None

    def __init__(self, *pictures: NDArray[np.generic], every_s: float = 0.5) -> None:
        self._pictures = itertools.chain(pictures, itertools.repeat(pictures[-1]))
        self._every_s = every_s
        self._at = time.monotonic()

    def open(self) -> None:
        """Do nothing."""

    def read(self) -> Frame:
        self._at += self._every_s
        return Frame(next(self._pictures), self._at, 1)  # type: ignore[arg-type]

    def close(self) -> None:
        """Do nothing."""


def checked(*pictures: NDArray[np.generic], still_s: float = 10) -> CheckedCamera:
    return CheckedCamera(Scripted(*pictures), CameraOptions(width=64, height=48, fps=2, timeout_s=2, still_s=still_s))


def noise(seed: int, shape: tuple[int, ...] = (48, 64), darkest: int = 0, brightest: int = 255) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(darkest, brightest, shape, np.uint8)


def faults(camera: CheckedCamera, most: int = 200) -> str:
    """Return the sentence with which the camera fails within so many frames; nothing when it does not."""
    try:
        for _ in range(most):
            camera.read()
    except CaptureError as error:
        return str(error)
    return ""


def first_picture(camera: CheckedCamera) -> NDArray[np.uint8]:
    for _ in range(200):
        with contextlib.suppress(CaptureError):
            return camera.read().image
    raise AssertionError("none came")


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 3), (120, 900), (32, 32)])
def test_grey_and_coloured_pictures_pass(shape: tuple[int, ...]) -> None:
    pictures = [noise(seed, shape) for seed in range(30)]
    camera = checked(*pictures)
    for picture in pictures:
        assert np.array_equal(camera.read().image, picture)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (noise(1, (1, 921600)), "pictures of 921600x1 pixels, a size that no camera has"),
        (noise(1, (20, 64)), "pictures of 64x20 pixels"),
        (noise(1, (48, 64, 4)), r"arrays of shape \(48, 64, 4\), uint8, where a picture is \(rows, columns\[, 3\]\)"),
        (noise(1, (48, 64, 1)), r"arrays of shape \(48, 64, 1\), uint8"),
        (noise(1, (48 * 64,)), r"arrays of shape \(3072,\), uint8"),
        (noise(1).astype(np.uint16), r"arrays of shape \(48, 64\), uint16"),
        (noise(1).astype(np.float32), r"arrays of shape \(48, 64\), float32"),
    ],
)
def test_what_is_no_picture_is_a_fault_at_once(sent: NDArray[np.generic], said: str) -> None:
    with pytest.raises(CaptureError, match=rf"camera scripted: sends {said}"):
        checked(sent).read()


@pytest.mark.parametrize(
    ("even", "level"),
    [(np.zeros((48, 64), np.uint8), "0"), (np.full((48, 64, 3), (0, 154, 0), np.uint8), "0, 154, 0")],
)
@pytest.mark.parametrize("still_s", [10, 0])
def test_a_picture_of_one_even_colour_is_a_fault_until_something_is_seen(
    even: NDArray[np.uint8], level: str, still_s: float
) -> None:
    camera = checked(noise(1), *[even] * 130, noise(2), still_s=still_s)
    for _ in range(2):  # opened again, it is still none
        assert f"one even colour ({level}) for more than {still_s or 60:g} s; is its lens covered" in faults(camera)
    assert np.array_equal(first_picture(camera), noise(2))


def test_a_covered_lens_with_the_noise_of_its_sensor_is_no_fault() -> None:
    dark = [noise(seed, darkest=0, brightest=2) for seed in range(200)]
    assert not faults(checked(*dark), most=200)


def test_short_darkness_and_flashes_are_no_fault() -> None:
    black, white = np.zeros((48, 64), np.uint8), np.full((48, 64), 255, np.uint8)
    pictures = [picture for seed in range(20) for picture in (*[black] * 8, *[white] * 8, noise(seed))]
    assert not faults(checked(*pictures), most=len(pictures))

"""Faces in a room, in adverse conditions, read from the picture as the daemon reads it: found, followed, classified.

The table of ready crops (`faces.py`) begins behind the detector, which in dim light is what fails first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.events import Box, Frame
from affectd.face.detector import overlap
from affectd.face.haar import HaarDetector
from affectd.face.preprocess import FacePreprocessing, GrayImage, to_gray
from affectd.face.reader import FaceReader
from affectd_convert.datasets.labelled import Faces
from affectd_convert.evaluation.predict import FloatArray, Run
from affectd_convert.evaluation.robustness.faces import sensed

SEED = 0
MOST_FACES = 500
"""So many are drawn; a share found of 90 % is then known to within 1.3 points (standard error)."""
WIDTH, HEIGHT, SIDE = 640, 480, 200
"""Pixels of the picture, and of a face's side in it."""
ROOMS = 20
FRAMES = 6
"""Frames in which a face must be found, at the daemon's pace 0.6 s: full detection runs on every second."""
FPS = 10.0
FOUND = 0.3
"""Intersection over union of a box with the face that was put there."""
LIGHTS = (0.3, 0.1, 0.05)
"""Light on the sensor, as a share of that under which the face was taken."""
HAZE = 0.2
"""Contrast that is left, about a level of 150."""
BACKLIGHTS = (0.3, 0.1)
"""Light on the face before a bright window."""
BLURS = (4.0, 8.0)
"""Deviations of the Gaussian, pixels; 4.2 of a 200-pixel face are 1 of the 48-pixel crop."""
JPEG_QUALITY = 10


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A room with somebody in it."""

    light: FloatArray
    """(HEIGHT, WIDTH), 0..255 under full light."""
    head: FloatArray
    """(HEIGHT, WIDTH), 1 where the head is and 0 elsewhere."""
    face: tuple[float, float, float, float]
    """x, y, width, height in pixels."""


@dataclass(frozen=True, slots=True)
class SceneRow:
    """One condition; shares 0..1."""

    condition: str
    found: float
    right_of_all: float
    right_of_found: float
    """0 where none was found."""

    def to_json(self) -> dict[str, Any]:
        """Return the row for `evaluate --json`."""
        return asdict(self)


Condition = Callable[[Scene, np.random.Generator], GrayImage]


def conditions() -> dict[str, Condition]:
    """Return every condition by what the table calls it, in the table's order, full light first."""
    named: dict[str, Condition] = {"full light": _lit(1.0)}
    named |= {f"{light:.0%} of the light": _lit(light) for light in LIGHTS}
    named["haze"] = _hazy
    named |= {f"backlight, {light:.0%} on the face": _backlit(light) for light in BACKLIGHTS}
    named |= {f"blur, sigma {sigma:g} px": _blurred(sigma) for sigma in BLURS}
    named[f"JPEG, quality {JPEG_QUALITY}"] = _jpeg
    return named


def scene_rows(
    run: Run, preprocessing: FacePreprocessing, data: Faces, *, report: Callable[[str], None] = lambda _: None
) -> tuple[SceneRow, ...]:
    """Score up to MOST_FACES of `data`, drawn at random, in every condition; the same faces make the same rows."""
    chosen = np.random.default_rng(SEED).permutation(len(data.truth))[:MOST_FACES]
    rooms = [room(np.random.default_rng((SEED, number))) for number in range(ROOMS)]
    device = _Device(preprocessing)
    rows = []
    for name, condition in conditions().items():
        inputs = []
        for number in chosen:
            # The same room, place and noise in every condition.
            rng = np.random.default_rng((SEED, number))
            scene = compose(rooms[rng.integers(ROOMS)], to_gray(data.pixels[number]), rng)
            inputs.append(device.read(scene, condition, rng))
        rows.append(_row(name, run, inputs, data.truth[chosen]))
        report(f"{name}: found {rows[-1].found:.4f}, right of all {rows[-1].right_of_all:.4f}")
    return tuple(rows)


def room(rng: np.random.Generator) -> FloatArray:
    """Return a background (HEIGHT, WIDTH): noise whose amplitudes fall with the frequency as scenery's (Field 1987)."""
    rows, columns = np.fft.fftfreq(HEIGHT)[:, np.newaxis], np.fft.rfftfreq(WIDTH)
    frequency = np.hypot(rows * HEIGHT, columns * WIDTH)
    frequency[0, 0] = np.inf
    shape = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((HEIGHT, WIDTH))) / frequency, (HEIGHT, WIDTH))
    return np.asarray(np.clip(120 + 40 * shape / shape.std(), 0, 255), np.float32)


def compose(background: FloatArray, crop: GrayImage, rng: np.random.Generator, side: int = SIDE) -> Scene:
    """Put a face of `side` pixels somewhere into a room (rows, columns), which is at least 5/3 as large each way.

    Its crop is tight, so what lies around it fades into a blurred border.
    """
    margin = side // 3
    shrinks = side < crop.shape[0]
    enlarged = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    padded = np.pad(enlarged, margin, mode="edge").astype(np.float32)
    inner = np.zeros_like(padded)
    inner[margin:-margin, margin:-margin] = 1
    inner = cv2.GaussianBlur(inner, (0, 0), side / 40)
    portrait = padded * inner + cv2.GaussianBlur(padded, (0, 0), side / 12) * (1 - inner)
    size = portrait.shape[0]
    ellipse = cv2.ellipse(
        np.zeros_like(portrait), (size // 2, size // 2), (int(0.62 * side), int(0.72 * side)), 0, 0, 360, 1.0, -1
    )
    rows, columns = background.shape
    left, top = int(rng.integers(0, columns - size + 1)), int(rng.integers(0, rows - size + 1))
    head, face = np.zeros_like(background), np.zeros_like(background)
    head[top : top + size, left : left + size] = cv2.GaussianBlur(ellipse, (0, 0), side / 30)
    face[top : top + size, left : left + size] = portrait
    light = background * (1 - head) + face * head
    return Scene(light, head, (left + margin, top + margin, side, side))


class _Device:
    """The daemon's face path, with a model that keeps what it is shown."""

    def __init__(self, preprocessing: FacePreprocessing) -> None:
        self._reader = FaceReader.create(self, preprocessing, HaarDetector())
        self._shown: list[FloatArray] = []

    def probabilities(self, x: FloatArray) -> tuple[float, ...]:
        """Answer nothing in particular."""
        self._shown.append(x[0])
        return (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

    def read(self, scene: Scene, condition: Condition, rng: np.random.Generator) -> FloatArray | None:
        """Return what the network is shown of the face once it is found; None when it is not."""
        self._reader.reset()
        for number in range(FRAMES):
            self._shown.clear()
            faces = self._reader.read(Frame(condition(scene, rng), number / FPS, number)).faces
            for face, shown in zip(faces, self._shown, strict=True):
                if overlap(_pixels(face.box), scene.face) > FOUND:
                    return shown
        return None


def _pixels(box: Box) -> tuple[float, float, float, float]:
    return box.x * WIDTH, box.y * HEIGHT, box.width * WIDTH, box.height * HEIGHT


def _row(name: str, run: Run, inputs: Sequence[FloatArray | None], truth: NDArray[np.int64]) -> SceneRow:
    found = np.array([each is not None for each in inputs])
    right = 0
    if found.any():
        answers = run(np.stack([each for each in inputs if each is not None])).argmax(axis=1)
        right = int(np.sum(answers == truth[found]))
    shares = (found.mean(), right / len(found), right / max(1, found.sum()))
    return SceneRow(name, *(round(float(share), 6) for share in shares))


def _lit(light: float) -> Condition:
    return lambda scene, rng: sensed(scene.light, light, rng)


def _hazy(scene: Scene, rng: np.random.Generator) -> GrayImage:
    return sensed(150 + HAZE * (scene.light - scene.light.mean()), 1.0, rng)


def _backlit(light: float) -> Condition:
    def condition(scene: Scene, rng: np.random.Generator) -> GrayImage:
        window = 200 + scene.light / 8
        return sensed(window * (1 - scene.head) + light * scene.light * scene.head, 1.0, rng)

    return condition


def _blurred(sigma: float) -> Condition:
    return lambda scene, rng: sensed(cv2.GaussianBlur(scene.light, (0, 0), sigma), 1.0, rng)


def _jpeg(scene: Scene, rng: np.random.Generator) -> GrayImage:
    _, coded = cv2.imencode(".jpg", sensed(scene.light, 1.0, rng), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)

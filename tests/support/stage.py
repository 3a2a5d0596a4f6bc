"""Faces whose mouths, lids and heads move, composed frame by frame: people as far as a still picture can be one.

Curves are (n,) values at STEP a second. Sizes are shares of the face's side.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from support.scenes import FACE_SIDE, FACE_X, FACE_Y, PORTRAIT

STEP = 100
RATE = 16_000
WIDTH, HEIGHT = 640, 480
ELECTRONS = 3000
BEHAVIOURS = ("still", "nods", "walks", "turns", "blinks", "smiles", "chews", "giggles")

Curve = NDArray[np.float64]
Light = NDArray[np.float32]


@dataclass
class Curves:
    """What one person does over time; all zero: nothing."""

    count: int
    opening: Curve = field(init=False)
    """Of the mouth, 0..1."""
    smile: Curve = field(init=False)
    lids: Curve = field(init=False)
    """1: closed."""
    x: Curve = field(init=False)
    y: Curve = field(init=False)
    roll: Curve = field(init=False)
    yaw: Curve = field(init=False)
    pitch: Curve = field(init=False)
    """Degrees, as roll and yaw."""
    nearer: Curve = field(init=False)
    """Logarithm of the size."""

    def __post_init__(self) -> None:
        for name in ("opening", "smile", "lids", "x", "y", "roll", "yaw", "pitch", "nearer"):
            setattr(self, name, np.zeros(self.count))


def wander(count: int, hertz: float, rng: np.random.Generator) -> Curve:
    """Return noise below a frequency, of unit deviation."""
    white = rng.standard_normal(count + 4 * STEP)
    slow = sosfiltfilt(butter(2, hertz, fs=STEP, output="sos"), white)[2 * STEP : 2 * STEP + count]
    return np.asarray(slow / slow.std())


def bouts(count: int, rng: np.random.Generator) -> Curve:
    """Return 1 for some seconds, 0 for some, with soft edges."""
    return soft(np.where(wander(count, 0.2, rng) > 0, 1.0, 0.0), 0.15)


def soft(curve: Curve, seconds: float) -> Curve:
    return np.asarray(cv2.GaussianBlur(curve[np.newaxis], (0, 0), seconds * STEP)[0])


def envelope(samples: Curve) -> Curve:
    """Return the loudness of speech (n,) at RATE, 0 to about 1, STEP values a second."""
    band = sosfiltfilt(butter(2, (250, 4000), "bandpass", fs=RATE, output="sos"), samples)
    hop = RATE // STEP
    power = np.mean(band[: len(band) // hop * hop].reshape(-1, hop) ** 2, axis=1)
    level = sosfiltfilt(butter(2, 10, fs=STEP, output="sos"), np.sqrt(power)).clip(0)
    return np.asarray(np.sqrt(np.clip(level / np.percentile(level[level > 0.05 * level.max()], 90), 0, 1.7)))


def speaking(loudness: Curve, rng: np.random.Generator) -> Curve:
    """Return how far a mouth opens that says this.

    It is ahead of the sound, by a time that varies; vowels and consonants open it more or less; a part is its own.
    Its correlation with the loudness is about 0.55 over talk and pauses.
    """
    count = len(loudness)
    ahead = rng.uniform(0.03, 0.17) + 0.04 * wander(count, 1.5, rng)
    at = np.arange(count) + STEP * ahead
    loud = np.interp(at, np.arange(count), loudness)
    talking = np.interp(at, np.arange(count), soft(np.where(loudness > 0.2, 1.0, 0.0), 0.08))
    vowels = np.exp(0.6 * wander(count, 4, rng))
    opening = 0.55 * loud * vowels + (0.3 * wander(count, 5, rng) + 0.06) * talking
    return np.clip(sosfiltfilt(butter(2, 6, fs=STEP, output="sos"), opening), 0, 1.2)


def behaving(kind: str, count: int, rng: np.random.Generator) -> Curves:
    """Return what a person of BEHAVIOURS does; everybody sways a little and blinks."""
    curves = Curves(count)
    curves.x, curves.y = (0.012 * wander(count, 0.5, rng) for _ in range(2))
    curves.roll, curves.pitch, curves.yaw = (0.8 * wander(count, 0.6, rng) for _ in range(3))
    time = np.arange(count) / STEP
    rest = (0.3, 1.0) if kind == "blinks" else (2.0, 6.0)
    at = rng.uniform(*rest)
    while at < count / STEP:
        curves.lids = np.maximum(curves.lids, np.exp(-(((time - at) / 0.08) ** 2)))
        at += rng.uniform(*rest)
    if kind == "nods":
        nod = bouts(count, rng) * np.sin(2 * np.pi * np.cumsum(1.6 * np.exp(0.2 * wander(count, 0.5, rng))) / STEP)
        curves.pitch += 10 * nod
        curves.y += 0.06 * nod
    elif kind == "walks":
        curves.x += 0.3 * wander(count, 0.25, rng).clip(-2, 2)
        curves.y += 0.02 * np.sin(2 * np.pi * 1.8 * time)
        curves.nearer += 0.08 * wander(count, 0.2, rng)
    elif kind == "turns":
        curves.yaw += 25 * np.tanh(1.5 * wander(count, 0.3, rng))
        curves.roll += 5 * wander(count, 0.3, rng)
    elif kind == "smiles":
        curves.smile += 1.2 * np.tanh(2 * wander(count, 0.35, rng))
        curves.opening += 0.2 * curves.smile.clip(0)
    elif kind == "chews":
        phase = np.cumsum(rng.uniform(1.0, 1.9) * np.exp(0.12 * wander(count, 0.5, rng))) / STEP
        bites = np.sin(2 * np.pi * phase).clip(0) ** 1.2 * (0.45 + 0.15 * wander(count, 1, rng))
        curves.opening += (bites * bouts(count, rng)).clip(0)
        curves.smile += 0.3 * wander(count, 1, rng)
    elif kind == "giggles":
        mirth = bouts(count, rng)
        curves.opening += (mirth * (0.35 + 0.35 * wander(count, 3.5, rng))).clip(0)
        curves.smile += 0.6 * mirth
    return curves


def talking(loudness: Curve, rng: np.random.Generator) -> Curves:
    """Return what a person does who says this: the head moves a little with the words."""
    count = len(loudness)
    curves = behaving("still", count, rng)
    curves.opening = speaking(loudness, rng)
    curves.smile = 0.25 * wander(count, 3, rng) * (curves.opening > 0.05)
    curves.y += 0.008 * wander(count, 2, rng) * (loudness > 0.1)
    curves.pitch += 1.5 * wander(count, 1.2, rng) * (loudness > 0.1)
    return curves


def sensor(light: Light, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return what a small sensor makes of light (0..255): shot noise of ELECTRONS at full scale, as a Gaussian's."""
    noise = rng.standard_normal(light.shape, np.float32) * np.sqrt(255 / ELECTRONS * np.clip(light, 0, 255) + 1)
    return np.clip(np.rint(light + noise), 0, 255).astype(np.uint8)


class Actor:
    """One face, of `side` pixels about `centre`, that can be drawn as its curves have it."""

    def __init__(
        self,
        side: int,
        centre: tuple[float, float],
        curves: Curves,
        crop: NDArray[np.uint8] | None = None,
        eyes: tuple[float, float] = (0.2, -0.13),
    ) -> None:
        """Take a tight square grey crop, or the portrait of tests/media."""
        self.side, self.centre, self.curves = side, centre, curves
        margin = side * 2 // 3
        self._size = size = side + 2 * margin
        middle = size / 2
        if crop is None:
            zoom = side / FACE_SIDE
            move = np.array([[zoom, 0, middle - FACE_X * zoom], [0, zoom, middle - FACE_Y * zoom]])
            self._face = cv2.warpAffine(
                cv2.imread(str(PORTRAIT), cv2.IMREAD_GRAYSCALE), move, (size, size), borderMode=cv2.BORDER_REPLICATE
            ).astype(np.float32)
            axes, lips = (0.86, 1.05), 0.25
        else:
            large = cv2.resize(crop, (side, side), interpolation=cv2.INTER_CUBIC)
            padded = np.pad(large, margin, mode="edge").astype(np.float32)
            inner = np.pad(np.ones((side, side), np.float32), margin)
            inner = cv2.GaussianBlur(inner, (0, 0), side / 40)
            self._face = padded * inner + cv2.GaussianBlur(padded, (0, 0), side / 12) * (1 - inner)
            axes, lips = (0.62, 0.72), 0.27
        outline = np.zeros((size, size), np.float32)
        cv2.ellipse(outline, (size // 2,) * 2, (int(axes[0] * side), int(axes[1] * side)), 0, 0, 360, 1.0, -1)
        self._mask = cv2.GaussianBlur(outline, (0, 0), side / 30)
        grid = np.arange(size, dtype=np.float32) - np.float32(middle)
        self._x, self._y = np.meshgrid(grid, grid)
        self._bulge = np.clip(1 - (self._x / (0.6 * side)) ** 2 - (self._y / (0.7 * side)) ** 2, 0, 1)
        self._lips, self._eyes = lips * side, [(way * eyes[0] * side, eyes[1] * side) for way in (-1, 1)]
        self._dark = np.float32(0.32 * np.median(self._face[self._part(0, self._lips, 0.1, 0.1)]))

    def draw(self, light: Light, at: float) -> tuple[float, float, float, float]:
        """Draw the face as it is at `at` seconds into the picture (HEIGHT, WIDTH); return its box."""
        now = {name: float(curve[round(at * STEP)]) for name, curve in vars(self.curves).items() if name != "count"}
        zoom, turn, side = np.exp(now["nearer"]), np.deg2rad(now["roll"]), self.side
        picture = self._shaped(now["opening"], now["smile"], now["lids"])
        right, down = (np.float32(0.35 * side * np.sin(np.deg2rad(now[name]))) for name in ("yaw", "pitch"))
        picture = self._moved(picture, right * self._bulge, down * self._bulge)
        matrix = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        matrix = matrix @ np.diag([np.cos(np.deg2rad(now["yaw"])), 1.0])
        place = np.array(self.centre) + side * np.array([now["x"], now["y"]])
        reach = np.ceil(0.6 * self._size * zoom)
        (left, top), (right_end, bottom) = (
            np.clip(place + way * reach, 0, (WIDTH, HEIGHT)).astype(int) for way in (-1, 1)
        )
        part = light[top:bottom, left:right_end]
        if part.size:
            move = np.column_stack([matrix, place - matrix @ np.full(2, self._size / 2) - (left, top)])
            size = part.shape[::-1]
            head = cv2.warpAffine(picture, move, size, borderMode=cv2.BORDER_REPLICATE)
            part += (head - part) * cv2.warpAffine(self._mask, move, size)
        return float(place[0] - zoom * side / 2), float(place[1] - zoom * side / 2), zoom * side, zoom * side

    def _shaped(self, opening: float, smile: float, lids: float) -> Light:
        """Move the lower lip and the chin down and fill the mouth with dark, the corners out and up; close the lids."""
        side, half = self.side, 0.2 * self.side
        part = self._part(0, self._lips + 0.05 * side, 0.5, 0.31)
        across, down = self._x[part] / (half * (1 + 0.15 * smile)), self._y[part] - self._lips
        arch = np.clip(1 - across**2, 0, 1)
        lower, upper = 0.11 * side * opening * arch, 0.025 * side * opening * arch
        falls = lower * np.clip(1 - np.maximum(down - lower, 0) / (0.28 * side), 0, 1)
        rises = -upper * np.clip(1 + np.minimum(down + upper, 0) / (0.2 * side), 0, 1)
        near = np.exp(-((across / 1.3) ** 2) - (down / (0.16 * side)) ** 2)
        right = 0.12 * smile * half * across * near
        moved = self._moved(
            self._face,
            right,
            np.where(down > lower / 2, falls, rises) - 0.035 * side * smile * np.clip(across**2, 0, 1.5) * near,
            part,
        )
        inside = np.clip(np.minimum(lower - down, down + upper) / (0.012 * side), 0, 1) * (arch > 0)
        face = self._face.copy()
        face[part] = moved * (1 - inside) + self._dark * inside
        for x, y in self._eyes if lids > 0.03 else ():
            part = self._part(x, y, 0.2, 0.09)
            lid = lids * np.exp(
                -(((self._x[part] - x) / (0.11 * side)) ** 4) - ((self._y[part] - y) / (0.05 * side)) ** 4
            )
            skin = self._face[self._part(x, y - 0.1 * side, 0.05, 0.02)].mean()
            face[part] += (skin - face[part]) * lid
        return face

    def _part(self, x: float, y: float, across: float, down: float) -> tuple[slice, slice]:
        """Return rows and columns about a place, so many sides to either side."""
        middle = self._size / 2
        across, down = across * self.side, down * self.side
        return slice(int(middle + y - down), int(middle + y + down)), slice(
            int(middle + x - across), int(middle + x + across)
        )

    def _moved(
        self, picture: Light, right: NDArray[np.floating], down: NDArray[np.floating], part: tuple[slice, ...] = ()
    ) -> Light:
        """Return the picture (or a part of it) with each place's content moved by so many pixels."""
        middle = self._size / 2
        map_x, map_y = self._x[part] + middle - right, self._y[part] + middle - down
        return np.asarray(
            cv2.remap(
                picture,
                map_x.astype(np.float32),
                map_y.astype(np.float32),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )

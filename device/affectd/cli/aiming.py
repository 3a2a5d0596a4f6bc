"""Measures that help to aim a camera and a microphone, each with a verdict and what to do.

The bounds come from the portrait of the tests, made darker, brighter, flatter, blurred and backlit, and from a
synthetic voice at levels from -65 to -15 dBFS over noise: they lie where the quality of the readings begins to fall.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.events import Box
from affectd.face.preprocess import GrayImage
from affectd.face.quality import GOOD_SIDE
from affectd.voice.sound_check import CLIPPED_SHARE, Loudness

ROWS = 480
"""Height to which larger pictures are shrunk before they are judged."""
DARK = 55
"""Mean grey level: the portrait's face has 153, at half of the light 76 (quality 0.83 of 1), at 30 % 45 (0.49)."""
BLOWN_OUT = 250
BLOWN_OUT_SHARE = 0.3
"""Share of pixels from BLOWN_OUT on: in the face 0 as it is, 0.16 at 1.25 times the light (a tenth of the quality is
lost), 0.45 at 1.5 times (a third)."""
FLAT = 80
"""Grey levels between the darkest and the brightest hundredth: in the face 224 as it is, 112 at half of the contrast
(quality 0.83), 67 at 30 % (0.5)."""
BACKLIT = 0.5
"""Brightness of the face over the rest's: 1.1 as it is, 0.35 with the face at half of the light before a window."""
BACKLIT_RANGE = 120
"""A face that is dark by nature has more contrast than this, one at half of the light (112) has not."""
BLURRED, BLURRED_ROOM = 2.0, 3.0
"""Blur in pixels of ROWS, with a face and without: 1.0 to 1.4 as it is, 1.6 to 1.8 blurred by 1 pixel, 2.4 to 2.5 by 2
(quality 0.2 to 0.8), 3.2 to 3.6 by 3. A room may hold nothing sharp."""
FINE, COARSE = 0.7, 2.0
"""Gaussians between which the blur is measured, pixels."""
SHARPEST = 99.7
"""Percentile of the gradient that stands for an edge."""
NEAR_LIMIT = 1.25
"""A face smaller than this many times face.min_size is lost at the next step back."""
MIDDLE = 0.25
"""Distance of a face from the middle, in widths and heights of the picture, from which it is near the edge."""
SLOW = 0.7
"""Share of camera.fps below which the rate is slow."""
BLOCK_S = 0.1
"""Length of the blocks of sound whose levels are judged, seconds."""
LOUD_BLOCKS = 5
"""The level of speech is what this many blocks reach; the background's, what a tenth of all stay below."""
SPOKEN_DB = 10.0
"""The level of speech lies further than this over the background's; where it does not, nobody has spoken."""
CLEAR_DB = 20.0
"""And speech counts in full (quality 0.95 and more) from about this on; at 13 dB it has half of it."""
LOUD_DB = -30.0
"""Level from which speech is loud enough in any case: who does not pause shows no background."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A word on one measure."""

    name: str
    value: str
    """The measure with its unit; empty where there is none."""
    word: str
    advice: str = ""
    """What to do; empty where nothing needs to be done."""
    good: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Appearance:
    """Measures of a grey picture and of the face in front, if there is one."""

    mean: float
    """Grey level of the face, or of the picture where there is none."""
    around: float | None
    """Mean grey level of the picture around the face."""
    blown_out: float
    """Share of the face, or picture, 0..1."""
    range: float
    """Grey levels between the darkest and the brightest hundredth of the face, or picture."""
    blur: float
    """Of the picture's sharpest edges: standard deviation of a Gaussian, pixels of ROWS."""

    @classmethod
    def of(cls, gray: GrayImage, face: Box | None) -> Appearance:
        """Measure the picture (height, width)."""
        if gray.shape[0] > ROWS:
            columns = max(1, round(gray.shape[1] * ROWS / gray.shape[0]))
            gray = np.asarray(cv2.resize(gray, (columns, ROWS), interpolation=cv2.INTER_AREA), np.uint8)
        inside = None if face is None else _cut(gray, face)
        region = gray if inside is None or not inside.size else inside
        low, high = np.percentile(region, (1, 99))
        around = None
        if region is not gray and region.size < gray.size:
            around = float((gray.sum(dtype=np.float64) - region.sum(dtype=np.float64)) / (gray.size - region.size))
        return cls(
            float(region.mean()), around, float(np.mean(region >= BLOWN_OUT)), float(high - low), _edge_blur(gray)
        )

    @property
    def backlit(self) -> bool:
        """Whether the face is in the shade of what is behind it."""
        return self.around is not None and self.mean < BACKLIT * self.around and self.range < BACKLIT_RANGE


def judge_brightness(seen: Appearance) -> Verdict:
    """Judge the light on the face, or in the picture where there is none."""
    value = _percent(seen.mean)
    if seen.backlit:
        return Verdict("brightness", value, "backlit", "turn away from the window, or light the face", False)
    if seen.mean < DARK:
        return Verdict("brightness", value, "too dark", "turn on a lamp", False)
    if seen.blown_out > BLOWN_OUT_SHARE:
        return Verdict("brightness", value, "too bright", "dim the light, or keep the sun out", False)
    return Verdict("brightness", value, "good")


def judge_contrast(seen: Appearance) -> Verdict:
    """Judge the contrast of the face, or of the picture where there is none."""
    value = _percent(seen.range)
    if seen.range >= FLAT:
        return Verdict("contrast", value, "good")
    # Where light is short, it is what the contrast lacks.
    dark = seen.backlit or seen.mean < DARK
    return Verdict(
        "contrast", value, "flat", "" if dark else "clean the lens, and light the face from the front", False
    )


def judge_sharpness(seen: Appearance) -> Verdict:
    """Judge the sharpest edges of the picture."""
    if seen.around is None and seen.range < FLAT:
        return Verdict("sharpness", "", "nothing to judge it by")
    value = f"blur {seen.blur:.1f} px"
    if seen.blur >= (BLURRED_ROOM if seen.around is None else BLURRED):
        return Verdict("sharpness", value, "blurred", "clean the lens and focus it", False)
    return Verdict("sharpness", value, "good")


def judge_rate(rate: float | None, configured: float) -> Verdict:
    """Judge the rate that is reached of the one configured; None: not known yet."""
    if rate is None:
        return Verdict("rate", "", "not known yet")
    value = f"{rate:.1f} of {configured:g} fps"
    if rate < SLOW * configured:
        advice = "more light lets a camera take more frames; on a busy box, lower camera.width and camera.height"
        return Verdict("rate", value, "slow", advice, False)
    return Verdict("rate", value, "good")


def judge_size(face: Box, width: int, height: int, min_size: float) -> Verdict:
    """Judge a face's size in a picture of width and height pixels; `min_size`: face.min_size."""
    side, least = face.width * width, min_size * height
    value = f"{side:.0f} px"
    if side < NEAR_LIMIT * least:
        return Verdict("size", value, "too far", "come closer, or lower face.min_size", False)
    if side < GOOD_SIDE:
        return Verdict("size", value, "small", "come closer, or raise camera.width and camera.height", False)
    return Verdict("size", value, "good")


def judge_place(face: Box) -> Verdict:
    """Judge how far from the middle of the picture a face is."""
    right, down = face.x + face.width / 2 - 0.5, face.y + face.height / 2 - 0.5
    sides = [("left", "right")[right > 0]] * (abs(right) > MIDDLE) + [("top", "bottom")[down > 0]] * (
        abs(down) > MIDDLE
    )
    if not sides:
        return Verdict("place", "", "in the middle")
    return Verdict("place", "", f"off to the {' and '.join(sides)}", "turn the camera towards the face", False)


def judge_sound(blocks: Sequence[Loudness]) -> Verdict:
    """Judge how loud somebody speaks in blocks of sound of BLOCK_S, at least one."""
    if all(block.dead for block in blocks):
        return Verdict("sound", "", "silence", "is it muted, or another input the default?", False)
    levels_db = sorted(block.level_db for block in blocks)
    quiet_db, loud_db = levels_db[len(blocks) // 10], levels_db[max(0, len(blocks) - LOUD_BLOCKS)]
    value = f"{loud_db:.0f} dBFS"
    if float(np.mean([block.clipped for block in blocks])) > CLIPPED_SHARE:
        return Verdict("sound", value, "overdriven", "turn its gain down", False)
    if loud_db - quiet_db < SPOKEN_DB:
        return Verdict("sound", value, "nothing said", "say something")
    if loud_db < LOUD_DB and loud_db - quiet_db < CLEAR_DB:
        return Verdict("sound", value, "too quiet", "come closer, turn its gain up, or what is around it down", False)
    return Verdict("sound", value, "good")


def _percent(level: float) -> str:
    return f"{100 * level / 255:.0f} %"


def _cut(gray: GrayImage, box: Box) -> GrayImage:
    rows, columns = gray.shape
    top, bottom = (min(max(round(y * rows), 0), rows) for y in (box.y, box.y + box.height))
    left, right = (min(max(round(x * columns), 0), columns) for x in (box.x, box.x + box.width))
    return gray[top:bottom, left:right]


def _edge_blur(gray: GrayImage) -> float:
    """Estimate the blur of the sharpest edges: standard deviation in pixels.

    An edge blurred by s has, blurred once more by t, a gradient of 1 / sqrt(s^2 + t^2): two t yield s, whatever the
    contrast is.
    """
    image = gray.astype(np.float32)
    fine, coarse = (_steepest(cv2.GaussianBlur(image, (0, 0), sigma)) for sigma in (FINE, COARSE))
    ratio = max(fine / max(coarse, 1e-6), 1.01)
    return float(np.sqrt(max(COARSE**2 - (ratio * FINE) ** 2, 0.0) / (ratio**2 - 1)))


def _steepest(image: NDArray[np.float32]) -> float:
    across, down = (cv2.Sobel(image, cv2.CV_32F, x, y, ksize=1) for x, y in ((1, 0), (0, 1)))
    return float(np.percentile(cv2.magnitude(across, down), SHARPEST))

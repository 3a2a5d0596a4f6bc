"""How much each mouth moves from frame to frame, beyond what the rest of the face does: a nod does not count."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.events import Mouth
from affectd.face.preprocess import GrayImage

SIDE = 64
"""Side at which faces are compared, pixels."""
SMALLEST = 80
"""Pixels of a crop's side below which a mouth is too few pixels to be watched."""
SHORTEST_S, LONGEST_S = 0.045, 0.5
"""Frames nearer in time are not compared: at 30 a second every other one is. What was seen longer ago is no start."""
SMOOTH = 1.0
"""Deviation of the Gaussian against noise, pixels of SIDE."""
UPPER = (slice(8, 40), slice(10, 54))
LOWER = (slice(42, 62), slice(16, 48))
"""Rows and columns of eyes and nose, and of the mouth."""
FARTHEST = 8.0
"""Pixels of SIDE beyond which a shift from one frame to the next is a mistake."""
LEAST_CONTRAST = 8.0
"""Grey levels: less is noise, which is not to be stretched."""
KEPT = 0.9
"""Share of the picture to which a face is aligned that stays, frame by frame."""

Picture = NDArray[np.float32]


@dataclass(slots=True)
class _Seen:
    at: float
    face: Picture
    """Aligned, (SIDE, SIDE)."""
    usual: Picture
    """What the face is aligned to: a running mean."""


@dataclass
class MouthTracker:
    """Follows the mouths of the faces in a stream of frames. Not thread-safe."""

    _seen: dict[int, _Seen] = field(default_factory=dict, init=False)
    """By track."""

    def reset(self) -> None:
        """Forget all faces, after a gap in the pictures."""
        self._seen.clear()

    def measure(self, faces: dict[int, GrayImage], at: float) -> dict[int, Mouth]:
        """Take the upright square crops in the frame captured at `at` seconds, by track; return the measures by track.

        Nothing of a face that is small, or seen for the first time, or was seen a moment ago.
        """
        self._seen = {track: seen for track, seen in self._seen.items() if at - seen.at <= LONGEST_S}
        mouths: dict[int, Mouth] = {}
        for track, crop in faces.items():
            if crop.shape[0] < SMALLEST:
                self._seen.pop(track, None)
                continue
            before = self._seen.get(track)
            if before is None:
                face = _normalized(crop)
                self._seen[track] = _Seen(at, face, face)
            elif at - before.at >= SHORTEST_S:
                face = _aligned(_normalized(crop), before.usual)
                mouths[track] = _compare(before.face, face)
                self._seen[track] = _Seen(at, face, _mixed(before.usual, face))
        return mouths


def _normalized(crop: GrayImage) -> Picture:
    """Return the face at SIDE, its upper part about zero and of unit deviation: the light may change."""
    while crop.shape[0] >= 2 * SIDE:  # halving is quick, and any other ratio is not
        half = crop.shape[0] // 2
        crop = np.asarray(
            cv2.resize(crop[: 2 * half, : 2 * half], (half, half), interpolation=cv2.INTER_AREA), np.uint8
        )
    small = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    smooth = cv2.GaussianBlur(small, (0, 0), SMOOTH)
    mean, deviation = cv2.meanStdDev(smooth[UPPER])
    return np.asarray((smooth - float(mean[0, 0])) / max(LEAST_CONTRAST, float(deviation[0, 0])), np.float32)


def _aligned(face: Picture, usual: Picture) -> Picture:
    """Shift the face to where eyes and nose lie as they do in `usual` (phase correlation, Kuglin & Hines 1975)."""
    upper, window = np.ascontiguousarray(face[UPPER]), np.ascontiguousarray(usual[UPPER])
    (right, down), _ = cv2.phaseCorrelate(window, upper, _hann())
    if max(abs(right), abs(down)) > FARTHEST:
        return face
    back = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return np.asarray(
        cv2.warpAffine(
            face, back, (SIDE, SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
        ),
        np.float32,
    )


def _mixed(usual: Picture, face: Picture) -> Picture:
    return np.asarray(cv2.addWeighted(usual, KEPT, face, 1 - KEPT, 0.0), np.float32)


def _compare(before: Picture, face: Picture) -> Mouth:
    change = cv2.absdiff(face, before)
    return Mouth(cv2.mean(change[LOWER])[0] - cv2.mean(change[UPPER])[0], -cv2.mean(face[LOWER])[0])


def _hann() -> Picture:
    rows, columns = UPPER
    return np.asarray(
        cv2.createHanningWindow((columns.stop - columns.start, rows.stop - rows.start), cv2.CV_32F), np.float32
    )

"""The last crops of each face, a fixed step apart in time: the input of a network that takes several frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

STEP_S = 0.1
"""Seconds from one frame of a sequence to the next: the camera's default rate."""
CLOSEST_S = STEP_S / 4
"""Crops of a quick camera that are nearer in time are thinned out."""

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class _Crop:
    at: float
    """When the picture was captured, seconds."""
    values: FloatArray
    """Prepared, (height, width, channels)."""


@dataclass(slots=True)
class CropSequences:
    """Keeps the newest crops of each face in view, a little over four a step at most. Not thread-safe."""

    frames: int
    """Of a sequence."""
    _crops: dict[int, list[_Crop]] = field(default_factory=dict)
    """By track, oldest first."""

    def reset(self) -> None:
        """Forget all faces."""
        self._crops.clear()

    def extend(self, faces: Mapping[int, FloatArray], at: float) -> dict[int, FloatArray]:
        """Take the prepared crops (height, width, channels) of the frame captured at `at` seconds, by track.

        Returns their sequences (frames, height, width, channels), by track, the oldest first. The frame of each moment
        is the crop nearest to it in time: a slow camera's, and those around a gap, are repeated. A track begins with
        its first crop repeated, and so does one that was out of view for longer than a sequence lasts.
        """
        self._forget_all_but(at)
        for track, values in faces.items():
            crops = self._crops.setdefault(track, [])
            if len(crops) > 1 and crops[-1].at - crops[-2].at < CLOSEST_S:
                crops.pop()
            crops.append(_Crop(at, values))
        return {track: self._sequence(self._crops[track], at) for track in faces}

    def _forget_all_but(self, at: float) -> None:
        """Forget crops that are older than a sequence, or of a clock that went back; tracks that ended with them."""
        longest_s = self.frames * STEP_S
        kept = {
            track: [crop for crop in crops if 0 <= at - crop.at <= longest_s] for track, crops in self._crops.items()
        }
        self._crops = {track: crops for track, crops in kept.items() if crops}

    def _sequence(self, crops: list[_Crop], at: float) -> FloatArray:
        moments = [at - back * STEP_S for back in reversed(range(self.frames))]
        return np.stack([_nearest(crops, moment).values for moment in moments])


def _nearest(crops: list[_Crop], moment: float) -> _Crop:
    return min(crops, key=lambda crop: abs(crop.at - moment))

"""Predictions that still hold: a face that looks as it did a moment ago is not classified anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.events import Probabilities

LONGEST_S = 0.25
"""Seconds after which a face is classified anew, changed or not: little beside the fusion's memory of a second, and the
dwell before an event."""
PARTS = 6
"""Into so many each way the network's input is cut, for a mouth that moves is little of the whole."""
CHANGE = 0.25
"""Mean change of a part from which a face is classified anew, in standard deviations of a channel. Of 400 PublicTest
faces the noise of a small sensor in full light changed 4 % by more, and moved the probabilities by 0.037 (half the sum
of the absolute differences). Where another face's mouth or brows were blended in, less change moved them by 0.052, and
more by 0.19."""

FloatArray = NDArray[np.float32]


class FaceModel(Protocol):
    """The expression classifier."""

    def probabilities(self, x: FloatArray) -> Probabilities | None:
        """Return calibrated probabilities (7) in the order of LABELS for the input of a face.

        That is (1, height, width, channels), or (1, frames, height, width, channels). None: it does not know.
        """


@dataclass(frozen=True, slots=True, eq=False)
class _Prediction:
    at: float
    """When the picture was captured, seconds."""
    values: FloatArray
    """What the network was shown, (height, width, channels) or (frames, height, width, channels)."""
    probabilities: Probabilities | None

    def holds(self, values: FloatArray, at: float) -> bool:
        """Whether it is true of `values`, captured at `at` seconds, as well."""
        if not 0 <= at - self.at < LONGEST_S:
            return False
        pairs = zip(_frames(values), _frames(self.values), strict=True)
        return all(_looks_as(frame, before) for frame, before in pairs)


@dataclass(slots=True)
class PredictionCache:
    """Remembers the newest prediction of each face in view. Not thread-safe."""

    model: FaceModel
    _newest: dict[int, _Prediction] = field(default_factory=dict)
    """By track."""

    def reset(self) -> None:
        """Forget all faces."""
        self._newest.clear()

    def predict(self, faces: Mapping[int, FloatArray], at: float) -> list[Probabilities | None]:
        """Return the calibrated probabilities of the faces in the frame captured at `at` seconds.

        `faces` are the network's inputs, without the batch, by track.
        """
        newest: dict[int, _Prediction] = {}
        for track, values in faces.items():
            known = self._newest.get(track)
            if known is None or not known.holds(values, at):
                known = _Prediction(at, values, self.model.probabilities(values[np.newaxis]))
            newest[track] = known
        self._newest = newest
        return [each.probabilities for each in newest.values()]


def _frames(values: FloatArray) -> FloatArray:
    """Return an input as (frames, height, width, channels)."""
    return values.reshape(-1, *values.shape[-3:])


def _looks_as(frame: FloatArray, before: FloatArray) -> bool:
    parts = cv2.resize(cv2.absdiff(frame, before), (PARTS, PARTS), interpolation=cv2.INTER_AREA)
    return bool(parts.max() < CHANGE * cv2.meanStdDev(before)[1].mean())

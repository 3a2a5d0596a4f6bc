"""The faces in a photograph, read as those before a camera are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from affectd.events import Frame, TrackedFace
from affectd.face.reader import FaceReader

SMALLEST = 0.05
"""Smallest face in a photograph, as a fraction of its height: people stand farther away than before a kiosk."""
ALL_FACES = 1_000
"""Faces read in one photograph: all that there may be."""
LOOKS = 3
"""Frames of the same picture: the first finds faces, the second backlit ones too, and each confirms the one before."""
FRAME_S = 0.1


@dataclass(frozen=True, slots=True)
class StillReader:
    """Reads photographs, each as a camera's picture of people who keep still. Not thread-safe."""

    reader: FaceReader
    """With a detector that runs on every frame."""

    def read(self, image: NDArray[np.uint8]) -> tuple[TrackedFace, ...]:
        """Return the faces of a picture, (height, width, 3) BGR or (height, width) grey, the largest first."""
        self.reader.reset()
        frames = [Frame(image, number * FRAME_S, number) for number in range(LOOKS)]
        return [self.reader.read(frame) for frame in frames][-1].faces

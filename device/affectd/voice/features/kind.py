"""What every kind of voice features has, and how their streams are used."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from affectd.voice.speech_frames import FloatArray, Frames


class FeatureStream(Protocol):
    """The features of one stream of sound, of which the newest make the network's input. Not thread-safe."""

    def reset(self) -> None:
        """Forget the stream: the next sample is the first."""

    def push(self, samples: NDArray[np.int16], frames: Frames) -> None:
        """Take the next samples (n,) int16 at 16 kHz, and the speech frames that they complete."""

    def window(self) -> FloatArray:
        """Return the network's input, without the batch axis, for the newest sound."""

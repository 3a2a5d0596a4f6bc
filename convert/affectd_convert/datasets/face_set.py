"""Faces of a corpus as its readers gather them, row-aligned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectd.events import LABELS
from affectd_convert.datasets.left_out import LeftOut
from affectd_convert.errors import DataError

SIDE = 48
SMALLEST = 16
"""Pixels of a side; a smaller picture shows no expression."""
_FERPLUS = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear")
"""FER+ (Barsoum et al. 2016) votes in its own order; contempt, unknown and not-a-face follow."""


@dataclass(frozen=True, slots=True)
class PictureForm:
    """What pictures in folders are brought to."""

    side: int = SIDE
    """Pixels."""
    colour: bool = False


AS_FER2013 = PictureForm()


@dataclass(frozen=True, eq=False)
class FaceSet:
    """Faces of one or more splits, row-aligned."""

    pixels: NDArray[np.uint8]
    """(n, 48, 48) grey; of one's own, squares of another side, and (n, side, side, 3) BGR."""
    label: NDArray[np.int64]
    """(n,) index into LABELS."""
    usage: NDArray[np.int64]
    """(n,) TRAINING, PUBLIC_TEST or PRIVATE_TEST."""
    votes: NDArray[np.float32]
    """(n, 7) FER+ votes in the order of LABELS; all zero where there are none."""
    skipped: tuple[str, ...] = ()
    """What was left out and why, a sentence each."""
    compared: bool = False
    """Whether training faces that are practically in PublicTest are among what was left out."""
    notes: tuple[str, ...] = ()
    """How the copy was understood where it says so in words of its own, a sentence each."""

    def split(self, usage: int) -> FaceSet:
        """Return the rows of one split."""
        return self.only(self.usage == usage)

    def only(self, rows: NDArray[np.bool_]) -> FaceSet:
        """Return the faces of `rows`, indices or a mask (n,)."""
        return replace(
            self, pixels=self.pixels[rows], label=self.label[rows], usage=self.usage[rows], votes=self.votes[rows]
        )


@dataclass
class FaceList:
    """Faces read one after another."""

    pixels: list[NDArray[np.uint8]] = field(default_factory=list)
    label: list[int] = field(default_factory=list)
    usage: list[int] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)

    def add(self, face: NDArray[np.uint8], label: int, usage: int) -> None:
        """Append a face, (side, side) or (side, side, 3)."""
        self.pixels.append(face)
        self.label.append(label)
        self.usage.append(usage)

    def face_set(self, path: Path, votes: NDArray[np.float32] | None = None, notes: Sequence[str] = ()) -> FaceSet:
        """Return what was gathered of `path`, with `votes` (n, 7). Raises DataError when that is nothing."""
        skipped = self.left_out.sentences()
        if not self.pixels:
            raise DataError(f"{path}: no readable face; {skipped[0] if skipped else 'nothing of FER2013 here'}")
        if votes is None:
            votes = np.zeros((len(self.pixels), len(LABELS)), np.float32)
        return FaceSet(
            np.stack(self.pixels), np.array(self.label), np.array(self.usage), votes, skipped, notes=tuple(notes)
        )


def votes_of(ferplus: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return FER+ votes (n, 7 or more), in its own order, in that of LABELS: (n, 7)."""
    return np.asarray(ferplus[:, [_FERPLUS.index(name) for name in LABELS]], np.float32)

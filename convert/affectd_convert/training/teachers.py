"""What trained networks answer to the training faces: the mean of their probabilities, learnt besides the labels.

Hinton et al. 2015; that the student learns the answer to the very view that it sees is of Beyer et al. 2022. Several
large networks take longer to answer than a small one to learn: each view of a face is asked for once, and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectd.events import LABELS
from affectd.face.preprocess import FacePreprocessing, GrayImage
from affectd.inference.bundle import Bundle
from affectd.inference.model import label_probabilities, open_model, softmax
from affectd_convert.errors import TrainingError

FloatArray = NDArray[np.float32]
Teacher = Callable[[Sequence[GrayImage]], FloatArray]
"""Probabilities (n, LABELS) for n grey faces of any side."""

TAUGHT = 0.7
"""Share of the teachers' answer in a target."""
VIEWS = 4
"""Of each face, taken in turn, an epoch each: with a teacher to ask, views are dear."""


class Teachers:
    """The mean answer of one or more networks to the views of so many faces."""

    def __init__(self, networks: Sequence[Teacher], faces: int) -> None:
        self._networks = networks
        self._kept = np.full((VIEWS, faces, len(LABELS)), np.nan, np.float32)

    def answers(self, view: int, rows: NDArray[np.int64], faces: Sequence[GrayImage]) -> FloatArray:
        """Return probabilities (len(rows), labels) of the faces `rows`, of which `faces` is the view of that number."""
        kept = self._kept[view]
        new = np.flatnonzero(np.isnan(kept[rows, 0]))
        if len(new):
            shown = [faces[index] for index in new]
            kept[rows[new]] = np.mean([network(shown) for network in self._networks], axis=0)
        return np.asarray(kept[rows])


def bundle_teacher(folder: Path) -> Teacher:
    """Return a bundle as a teacher: its smallest variant, opened, prepared for and calibrated as on the device.

    Raises ModelError when it cannot be opened, TrainingError when it reads no faces.
    """
    bundle = Bundle.load(folder)
    if bundle.task != "face":
        raise TrainingError(f"{folder}: is for the {bundle.task}; a face is taught by bundles for the face")
    smallest = min(bundle.variants, key=lambda kind: bundle.variants[kind].bytes)
    model = open_model(bundle, smallest)
    preprocessing = FacePreprocessing.from_manifest(bundle.preprocessing, where=str(folder))

    def answer(faces: Sequence[GrayImage]) -> FloatArray:
        logits = np.stack([model.logits(preprocessing.prepare_still(face)) for face in faces])
        return np.asarray(label_probabilities(logits, bundle.outputs, LABELS, bundle.temperature), np.float32)

    return answer


def network_teacher(logits: Callable[[FloatArray], FloatArray], preprocessing: FacePreprocessing) -> Teacher:
    """Return a network in this process as a teacher; it has `logits` (n, labels) for inputs (n, *shape)."""

    def answer(faces: Sequence[GrayImage]) -> FloatArray:
        return np.asarray(softmax(logits(np.stack([preprocessing.prepare_still(face) for face in faces]))), np.float32)

    return answer

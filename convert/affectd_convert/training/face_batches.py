"""Batches of augmented faces: warped as Haar boxes jitter, then prepared by the device's own code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.events import LABELS
from affectd.face.preprocess import FacePreprocessing
from affectd_convert.datasets.fer2013 import FaceSet
from affectd_convert.training.batch import Batch
from affectd_convert.training.degraded_faces import degrade
from affectd_convert.training.drifting_views import drifting_views
from affectd_convert.training.mixup import mixed
from affectd_convert.training.teachers import TAUGHT, VIEWS, Teachers

LEVELS = FacePreprocessing()
"""Mean and deviation of the noise that an erased part is filled with: those of an equalized face."""
ORIGINALS = 6400
ORIGINALS_BATCH = 128
MIRRORED = 0.5
"""Share of the training faces."""


@dataclass(frozen=True, kw_only=True)
class FaceAugmentation:
    """How far a training face is moved away from its original."""

    rotation_deg: float = 15.0
    zoom_out: float = 0.15
    zoom_in: float = 0.25
    """Shares; faces are shown larger rather than smaller, as is best for a network that then sees whole faces in
    more pixels (Touvron et al. 2019)."""
    shift: float = 0.10
    contrast: float = 0.2
    erase: float = 0.3
    """Share of faces of which a rectangle is erased (Zhong et al. 2017)."""
    degraded: float = 0.2
    """Share of faces that are blurred, darkened, compressed or shrunk."""
    mixup: float = 0.0
    """Alpha of the Beta distribution that two faces and their targets are mixed by; for long schedules only."""
    votes: float = 0.3
    """Weight of the FER+ votes in the first epoch's targets; it falls to 0 by the last, for they would move
    borderline faces away from FER2013's own labels. The hard label has the rest."""
    smoothing: float = 0.02
    """Share of every target that is spread over all labels (Szegedy et al. 2016)."""
    rarest: float = 0.16
    """Training faces of a label are repeated until it has this share of the commonest label's."""

    def scaled(self, strength: float) -> FaceAugmentation:
        """Move faces `strength` times as far; the targets stay."""
        moved = ("rotation_deg", "zoom_out", "zoom_in", "shift", "contrast", "erase")
        return replace(self, **{name: getattr(self, name) * strength for name in moved})


@dataclass(frozen=True, kw_only=True)
class FaceBatches:
    """All training batches of one epoch at one image size, made on demand and reproducibly."""

    faces: FaceSet
    preprocessing: FacePreprocessing
    augmentation: FaceAugmentation
    batch_size: int
    size: int
    seed: int
    epoch: int
    progress: float
    """0 in the run's first epoch, 1 in its last."""
    teachers: Teachers | None = None
    """Whose answers are TAUGHT of every target, given to the faces before anything is degraded or erased."""

    def __len__(self) -> int:
        """Count the batches; the last incomplete one is left out."""
        return len(self._order) // self.batch_size

    def __getitem__(self, index: int) -> Batch:
        """Return inputs (batch, size, size, channels), or sequences of such, and target distributions (batch, 7)."""
        rows = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        how = self.augmentation
        targets = soft_targets(self.faces, rows, how.votes * (1 - self.progress))
        targets = (1 - how.smoothing) * targets + np.float32(how.smoothing / len(LABELS))
        if self.teachers is None:
            warped = [self._warp(self.faces.pixels[row], rng) for row in rows]
        else:
            view = self.epoch % VIEWS
            warped = [self._warp(self.faces.pixels[row], np.random.default_rng((self.seed, view, row))) for row in rows]
            targets = (1 - TAUGHT) * targets + TAUGHT * self.teachers.answers(view, rows, warped)
        # A teacher's answer is about the same to a face's mirror image.
        warped = [face[:, ::-1] if rng.random() < MIRRORED else face for face in warped]
        seen = [degrade(face, rng) if rng.random() < how.degraded else face for face in warped]
        inputs = np.stack([self._erase(self._prepared(face, rng), rng) for face in seen])
        return Batch(*mixed(inputs, targets, how.mixup, rng))

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return drawn_rows(self.faces.label, self.augmentation.rarest, np.random.default_rng((self.seed, self.epoch)))

    def _warp(self, face: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Turn, scale and shift about the centre."""
        how, side = self.augmentation, face.shape[0]
        angle = rng.uniform(-how.rotation_deg, how.rotation_deg)
        scale = rng.uniform(1 - how.zoom_out, 1 + how.zoom_in)
        matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle, scale)
        matrix[:, 2] += rng.uniform(-how.shift, how.shift, 2) * side
        warped = cv2.warpAffine(face, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        # Equalization undoes gain and offset, except where levels clip.
        gain, offset = rng.uniform(1 - how.contrast, 1 + how.contrast), rng.uniform(-20, 20)
        return np.asarray(np.clip(warped * gain + offset, 0, 255), np.uint8)

    def _prepared(self, face: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
        """Return the network's input: the face, or a sequence of drifting views where it takes several frames."""
        preprocessing = replace(self.preprocessing, size=self.size)
        views = [preprocessing.prepare(view) for view in drifting_views(face, preprocessing.frames, rng)]
        return np.stack(views).reshape(preprocessing.input_shape)

    def _erase(self, image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        if rng.random() >= self.augmentation.erase:
            return image
        height, width = (int(side) for side in rng.uniform(0.15, 0.4, 2) * self.size)
        top, left = rng.integers(0, self.size - height), rng.integers(0, self.size - width)
        erased = image.copy()
        levels = rng.normal(LEVELS.mean, LEVELS.std, (height, width, 1))
        mean, std = np.asarray(self.preprocessing.mean), np.asarray(self.preprocessing.std)
        erased[..., top : top + height, left : left + width, :] = (levels - mean) / std
        return erased


def drawn_rows(label: NDArray[np.int64], rarest: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the rows of an epoch's faces in random order, some of a label repeated until it has its share `rarest`."""
    counts = np.bincount(label, minlength=len(LABELS))
    rows = [np.arange(len(label))]
    for k, count in enumerate(counts):
        short = round(rarest * counts.max()) - int(count)
        if count and short > 0:
            rows.append(rng.choice(np.flatnonzero(label == k), short))
    return rng.permutation(np.concatenate(rows))


def soft_targets(faces: FaceSet, rows: NDArray[np.int64], votes_weight: float) -> NDArray[np.float32]:
    """Mix the hard label with the FER+ votes where there are any: (len(rows), 7), each row summing to 1."""
    hard = np.eye(len(LABELS), dtype=np.float32)[faces.label[rows]]
    votes = faces.votes[rows]
    total = votes.sum(axis=1, keepdims=True)
    weight = np.where(total > 0, np.float32(votes_weight), np.float32(0))
    mixed = (1 - weight) * hard + weight * votes / np.maximum(total, 1)
    return np.asarray(mixed, np.float32)


def originals(faces: FaceSet, preprocessing: FacePreprocessing) -> Iterator[NDArray[np.float32]]:
    """Return batches of training faces as the device would prepare them, drawn at random, not augmented."""
    order = np.random.default_rng(0).permutation(len(faces.label))[:ORIGINALS]
    for start in range(0, len(order), ORIGINALS_BATCH):
        batch = order[start : start + ORIGINALS_BATCH]
        yield np.stack([preprocessing.prepare_still(faces.pixels[row]) for row in batch])


@dataclass(frozen=True, eq=False)
class PreparedFaces:
    """Faces as the device prepares them, for validation."""

    inputs: NDArray[np.float32]
    """(n, *input)."""
    targets: NDArray[np.float32]
    """(n, 7) hard labels one-hot."""

    @classmethod
    def of(cls, faces: FaceSet, preprocessing: FacePreprocessing) -> PreparedFaces:
        """Prepare a whole split."""
        inputs = np.stack([preprocessing.prepare_still(face) for face in faces.pixels])
        return cls(inputs, np.eye(len(LABELS), dtype=np.float32)[faces.label])

    def logits(self, run: Callable[[NDArray[np.float32]], NDArray[np.float32]], /) -> NDArray[np.float32]:
        """Return logits (n, 7) of the network `run`."""
        return run(self.inputs)

"""FER2013 (Goodfellow et al. 2013): 48x48 grey faces with seven labels, as npz, csv or folders."""

from __future__ import annotations

import csv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.events import LABELS
from affectd_convert.errors import DataError

LICENCE = "research use (FER2013, ICML 2013 workshop)"
TRAINING, PUBLIC_TEST, PRIVATE_TEST = 0, 1, 2
_USAGES = {"Training": TRAINING, "PublicTest": PUBLIC_TEST, "PrivateTest": PRIVATE_TEST}
_FOLDERS = {"train": TRAINING, "test": PUBLIC_TEST, "validation": PUBLIC_TEST}
_FERPLUS = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear")
"""FER+ (Barsoum et al. 2016) votes in its own order; contempt, unknown and not-a-face follow."""
SAME_PHOTO = 0.97
"""Correlation from which two faces are practically one photo."""


@dataclass(frozen=True, eq=False)
class FaceSet:
    """Faces of one or more splits, row-aligned."""

    pixels: NDArray[np.uint8]
    """(n, 48, 48)."""
    label: NDArray[np.int64]
    """(n,) index into LABELS."""
    usage: NDArray[np.int64]
    """(n,) TRAINING, PUBLIC_TEST or PRIVATE_TEST."""
    votes: NDArray[np.float32]
    """(n, 7) FER+ votes in the order of LABELS; all zero where there are none."""
    skipped: tuple[str, ...] = ()
    """What was left out and why, a sentence each."""

    def split(self, usage: int) -> FaceSet:
        """Give the rows of one split."""
        rows = self.usage == usage
        return FaceSet(self.pixels[rows], self.label[rows], self.usage[rows], self.votes[rows], self.skipped)


def read_fer2013(path: Path) -> FaceSet:
    """Read the npz, the csv, or the folder form (train/angry/*.jpg). Raises DataError naming what is missing."""
    if path.is_dir():
        inside = next((p for name in ("fer2013.npz", "fer2013.csv") if (p := path / name).exists()), None)
        faces = _read_folders(path) if inside is None else read_fer2013(inside)
    elif path.suffix == ".npz" and path.exists():
        faces = _read_npz(path)
    elif path.suffix == ".csv" and path.exists():
        faces = _read_csv(path)
    else:
        raise DataError(f"{path}: no FER2013 here; expected fer2013.npz, fer2013.csv, or train/ and test/ folders")
    absent = [LABELS[i] for i in range(len(LABELS)) if not np.any(faces.label == i)]
    if absent:
        raise DataError(f"{path}: no face labelled {', '.join(absent)}; is the copy complete?")
    return faces


def _read_npz(path: Path) -> FaceSet:
    try:
        with np.load(path, allow_pickle=False) as data:
            pixels = data["pixels"].astype(np.uint8)
            label = data["label"].astype(np.int64)
            usage = data["usage"].astype(np.int64) if "usage" in data else np.full(len(label), PUBLIC_TEST)
            votes = data["ferplus"] if "ferplus" in data else np.zeros((len(label), 10), np.uint8)
            twin = data["corr_to_public"] if "corr_to_public" in data else np.zeros(len(label), np.float32)
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a FER2013 archive: {error}") from error
    if pixels.ndim != 3 or len(pixels) != len(label):
        raise DataError(f"{path}: pixels has shape {pixels.shape} for {len(label)} labels; expected (n, 48, 48)")
    # A training face that is also in PublicTest would flatter the validation score.
    leaks = (usage == TRAINING) & (twin >= SAME_PHOTO)
    order = [_FERPLUS.index(name) for name in LABELS]
    keep = ~leaks
    skipped = (f"{int(leaks.sum())} training faces left out: practically the same photo is in PublicTest",)
    return FaceSet(
        pixels[keep], label[keep], usage[keep], votes[keep][:, order].astype(np.float32), skipped if leaks.any() else ()
    )


def _read_csv(path: Path) -> FaceSet:
    pixels, label, usage, skipped = [], [], [], []
    with path.open(newline="") as stream:
        for line, row in enumerate(csv.DictReader(stream), start=2):
            try:
                face = np.array(row["pixels"].split(), np.uint8).reshape(48, 48)
                label.append(int(row["emotion"]))
                usage.append(_USAGES[row.get("Usage") or "Training"])
                pixels.append(face)
            except (KeyError, ValueError) as error:
                del label[len(pixels) :], usage[len(pixels) :]
                skipped.append(f"{path.name}:{line}: {error}")
    return _face_set(path, pixels, label, usage, skipped)


def _read_folders(path: Path) -> FaceSet:
    pixels, label, usage, skipped = [], [], [], []
    for file in sorted(path.glob("*/*/*")):
        split, emotion = file.parts[-3], file.parts[-2]
        if split not in _FOLDERS or emotion not in LABELS:
            skipped.append(f"{split}/{emotion}/{file.name}: not a known split and label")
            continue
        face = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        if face is None:
            skipped.append(f"{split}/{emotion}/{file.name}: not a readable image")
            continue
        pixels.append(np.asarray(cv2.resize(face, (48, 48), interpolation=cv2.INTER_AREA), np.uint8))
        label.append(LABELS.index(emotion))
        usage.append(_FOLDERS[split])
    return _face_set(path, pixels, label, usage, skipped)


def _face_set(
    path: Path, pixels: list[NDArray[np.uint8]], label: list[int], usage: list[int], skipped: list[str]
) -> FaceSet:
    if not pixels:
        raise DataError(f"{path}: no readable face; {skipped[0] if skipped else 'nothing of FER2013 here'}")
    votes = np.zeros((len(pixels), len(LABELS)), np.float32)
    return FaceSet(np.stack(pixels), np.array(label), np.array(usage), votes, tuple(skipped))

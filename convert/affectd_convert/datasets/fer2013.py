"""FER2013 (Goodfellow et al. 2013): 48x48 grey faces with seven labels, as npz, csv or folders."""

from __future__ import annotations

import csv
import sys
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.events import LABELS
from affectd_convert.datasets.same_photo import copies
from affectd_convert.errors import DataError

LICENCE = "research use (FER2013, ICML 2013 workshop)"
TRAINING, PUBLIC_TEST, PRIVATE_TEST = 0, 1, 2
_USAGES = {"Training": TRAINING, "PublicTest": PUBLIC_TEST, "PrivateTest": PRIVATE_TEST}
_FILES = ("fer2013.npz", "fer2013.csv", "icml_face_data.csv")
"""The archive and both names of the csv that are about, in the order in which a folder is asked for them."""
_SIZE = (48, 48)
_FERPLUS = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear")
"""FER+ (Barsoum et al. 2016) votes in its own order; contempt, unknown and not-a-face follow."""
_SMALLEST = 16
"""Pixels of a side; a smaller picture shows no expression."""
SAME_PHOTO = 0.97
"""Value of an npz's `corr_to_public` from which two faces are practically one photo."""
TWINS = "training faces left out: practically the same photo is in PublicTest"
"""What is said of such faces, their number before it."""


@dataclass(frozen=True, eq=False)
class FaceSet:
    """Faces of one or more splits, row-aligned."""

    pixels: NDArray[np.uint8]
    """(n, 48, 48); an npz of one's own may have squares of another side."""
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

    def split(self, usage: int) -> FaceSet:
        """Give the rows of one split."""
        return self.only(self.usage == usage)

    def only(self, rows: NDArray[np.bool_]) -> FaceSet:
        """Give the faces that `rows` (n,) says."""
        return replace(
            self, pixels=self.pixels[rows], label=self.label[rows], usage=self.usage[rows], votes=self.votes[rows]
        )


def describe(split: FaceSet) -> str:
    """Say in a few words what a split, one with faces, holds."""
    name = next(name for name, usage in _USAGES.items() if usage == split.usage[0])
    return f"FER2013 {name}, {len(split.label)} faces"


def holds_faces(path: Path) -> bool:
    """Say whether `path` looks like FER2013 in any of its forms."""
    if path.is_dir():
        return any((path / name).exists() for name in _FILES) or bool(_folder_usages(path))
    return path.suffix in {".npz", ".csv"}


def read_fer2013(path: Path) -> FaceSet:
    """Read the whole corpus, to train on: as `read_faces`, without what would flatter the validation score.

    That is training faces whose photo is in PublicTest, too. Raises DataError when a label has no face, besides.
    """
    faces = without_twins(read_faces(path))
    asked = faces.split(TRAINING) if np.any(faces.usage == TRAINING) else faces
    absent = [label for k, label in enumerate(LABELS) if not np.any(asked.label == k)]
    if absent:
        raise DataError(f"{path}: no face labelled {', '.join(absent)}; is the copy complete?")
    return faces


def without_twins(faces: FaceSet) -> FaceSet:
    """Leave out training faces whose photo is in PublicTest, too: half a minute's work, unless an npz says which."""
    if faces.compared:
        return faces
    training = np.flatnonzero(faces.usage == TRAINING)
    twins = training[copies(faces.pixels[training], faces.pixels[faces.usage == PUBLIC_TEST])]
    said = (*faces.skipped, f"{len(twins)} {TWINS}") if len(twins) else faces.skipped
    return replace(faces.only(~np.isin(np.arange(len(faces.usage)), twins)), skipped=said, compared=True)


def read_faces(path: Path) -> FaceSet:
    """Read the npz, the csv, or the folder form (train/angry/*.jpg), or a part of it; broken faces are skipped.

    Raises DataError when there is no FER2013 at `path` or no face of it can be read.
    """
    if path.is_dir():
        inside = next((p for name in _FILES if (p := path / name).exists()), None)
        return _read_folders(path) if inside is None else read_faces(inside)
    if path.suffix == ".npz" and path.exists():
        return _read_npz(path)
    if path.suffix == ".csv" and path.exists():
        return _read_csv(path)
    raise DataError(f"{path}: no FER2013 here; expected fer2013.npz, fer2013.csv, or train/ and test/ folders")


def _read_npz(path: Path) -> FaceSet:
    try:
        with np.load(path, allow_pickle=False) as data:
            pixels, label = data["pixels"], data["label"].astype(np.int64)
            usage = data["usage"].astype(np.int64) if "usage" in data else np.full(len(label), PUBLIC_TEST)
            votes = data["ferplus"] if "ferplus" in data else np.zeros((len(label), 10), np.uint8)
            compared = "corr_to_public" in data
            twin = data["corr_to_public"] if compared else np.zeros(len(label), np.float32)
    # What a damaged archive makes zipfile, zlib and NumPy raise; RuntimeError: it is encrypted, or of a foreign kind.
    except (OSError, EOFError, KeyError, TypeError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: not a FER2013 archive: {error}") from error
    square = pixels.ndim == 3 and pixels.shape[1] == pixels.shape[2] >= _SMALLEST
    if pixels.dtype != np.uint8 or not square or label.shape != pixels.shape[:1]:
        raise DataError(
            f"{path}: pixels is {pixels.dtype} of shape {pixels.shape} for labels of shape {label.shape}; "
            "expected grey squares, uint8 (n, 48, 48), and (n,)"
        )
    if {len(usage), len(votes), len(twin)} != {len(label)}:
        raise DataError(f"{path}: usage, ferplus or corr_to_public has not one row for each of {len(label)} faces")
    foreign = ~np.isin(label, range(len(LABELS))) | ~np.isin(usage, list(_USAGES.values()))
    leaks = ~foreign & (usage == TRAINING) & (twin >= SAME_PHOTO)
    skipped = []
    if leaks.any():
        skipped.append(f"{int(leaks.sum())} {TWINS}")
    if foreign.any():
        skipped.append(
            f"{int(foreign.sum())} faces left out: label not in 0..6 or usage not in 0..2, row {foreign.argmax()} first"
        )
    order, keep = [_FERPLUS.index(name) for name in LABELS], ~(leaks | foreign)
    if not keep.any():
        raise DataError(f"{path}: no readable face; {skipped[0] if skipped else 'it has no rows'}")
    kept_votes = votes[keep][:, order].astype(np.float32)
    return FaceSet(pixels[keep], label[keep], usage[keep], kept_votes, tuple(skipped), compared)


def _read_csv(path: Path) -> FaceSet:
    try:
        return _read_csv_rows(path)
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _read_csv_rows(path: Path) -> FaceSet:
    pixels, label, usage, skipped = [], [], [], []
    csv.field_size_limit(sys.maxsize)
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        # icml_face_data.csv has a blank before two of its column names.
        columns = [name.strip() for name in stream.readline().split(",")]
        if not {"emotion", "pixels"} <= set(columns):
            raise DataError(f"{path}: columns are {', '.join(columns) or 'none'}; expected emotion, pixels and Usage")
        rows = csv.DictReader((line.replace("\0", "") for line in stream), columns)
        for row in rows:
            try:
                face, emotion, split = _csv_row(row)
            except ValueError as error:
                skipped.append(f"{path.name}:{rows.line_num + 1}: {error}")
                continue
            pixels.append(face)
            label.append(emotion)
            usage.append(split)
    return _face_set(path, pixels, label, usage, skipped)


def _csv_row(row: Mapping[str, str | None]) -> tuple[NDArray[np.uint8], int, int]:
    """Give a row's face, label and usage. Raises ValueError saying what is wrong with it."""
    try:
        levels = np.array((row["pixels"] or "").split(), np.int64)
    except OverflowError:
        raise ValueError("a pixel of more digits than a number holds; expected 0..255") from None
    if len(levels) != _SIZE[0] * _SIZE[1]:
        raise ValueError(f"{len(levels)} pixels; expected 2304")
    if levels.min() < 0 or levels.max() > 255:
        raise ValueError(f"a pixel of {levels.max() if levels.max() > 255 else levels.min()}; expected 0..255")
    # Without the column all are taken as an npz without `usage` is.
    emotion, split = (row["emotion"] or "").strip(), (row.get("Usage", "PublicTest") or "Training").strip()
    if emotion not in set(map(str, range(len(LABELS)))):
        raise ValueError(f"emotion {emotion!r}; expected 0..6")
    if split not in _USAGES:
        raise ValueError(f"Usage {split!r}; expected {', '.join(_USAGES)}")
    return levels.astype(np.uint8).reshape(_SIZE), int(emotion), _USAGES[split]


def _folder_usages(path: Path) -> dict[str, int]:
    """Give the splits among the folders of `path`: train/ and test/, or the csv's own names, in any case."""
    usages = {"train": TRAINING, "test": PUBLIC_TEST, **{name.lower(): usage for name, usage in _USAGES.items()}}
    names = {folder.name: folder.name.lower() for folder in path.iterdir() if folder.is_dir()}
    validation = {"validation", "val"} & set(names.values())
    if validation:
        # Beside a validation split, the test split is the one to be kept apart.
        usages |= {"test": PRIVATE_TEST, **dict.fromkeys(validation, PUBLIC_TEST)}
    return {name: usages[lowered] for name, lowered in names.items() if lowered in usages}


def _read_folders(path: Path) -> FaceSet:
    pixels, label, usage, skipped = [], [], [], []
    usages = _folder_usages(path)
    for file in sorted(path.glob("*/*/*")):
        split, emotion, name = file.parts[-3:]
        if split not in usages or emotion.lower() not in LABELS:
            skipped.append(f"{split}/{emotion}/{name}: not a known split and label")
            continue
        face = _read_image(file)
        if face is None:
            skipped.append(f"{split}/{emotion}/{name}: not a readable image")
            continue
        if min(face.shape) < _SMALLEST:
            skipped.append(f"{split}/{emotion}/{name}: {face.shape[1]}x{face.shape[0]} pixels; too small for a face")
            continue
        pixels.append(np.asarray(cv2.resize(face, _SIZE, interpolation=cv2.INTER_AREA), np.uint8))
        label.append(LABELS.index(emotion.lower()))
        usage.append(usages[split])
    return _face_set(path, pixels, label, usage, skipped)


def _read_image(file: Path) -> NDArray[np.uint8] | None:
    """Read a picture as grey (height, width); None when it is none or cannot be read."""
    try:
        # Decoded from memory: OpenCV writes a line of its own for a file that it cannot open.
        content = np.frombuffer(file.read_bytes(), np.uint8)
    except OSError:
        return None
    image = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if len(content) else None
    return None if image is None else np.asarray(image, np.uint8)


def _face_set(
    path: Path, pixels: list[NDArray[np.uint8]], label: list[int], usage: list[int], skipped: list[str]
) -> FaceSet:
    if not pixels:
        raise DataError(f"{path}: no readable face; {skipped[0] if skipped else 'nothing of FER2013 here'}")
    votes = np.zeros((len(pixels), len(LABELS)), np.float32)
    return FaceSet(np.stack(pixels), np.array(label), np.array(usage), votes, tuple(skipped))

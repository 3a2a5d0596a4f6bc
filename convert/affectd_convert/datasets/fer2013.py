"""FER2013 (Goodfellow et al. 2013): 48x48 grey faces with seven labels, as npz, csv or folders."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from affectd.events import LABELS
from affectd_convert.datasets import fer_csv, fer_folders
from affectd_convert.datasets.face_set import AS_FER2013, SMALLEST, FaceSet, PictureForm, votes_of
from affectd_convert.datasets.names import (
    PRIVATE_TEST,
    PUBLIC_TEST,
    TRAINING,
    USAGES,
    looks_like_split,
)
from affectd_convert.datasets.near_duplicates import copies
from affectd_convert.datasets.not_itself import stands_for_data, still_packed
from affectd_convert.errors import DataError

__all__ = [
    "LICENCE", "PRIVATE_TEST", "PUBLIC_TEST", "SAME_PHOTO", "TRAINING", "TWINS", "FaceSet",
    "describe", "holds_faces", "read_faces", "read_fer2013", "without_twins",
]  # fmt: skip

LICENCE = "research use (FER2013, ICML 2013 workshop)"
_FILES = ("fer2013.npz", "fer2013.csv", "icml_face_data.csv")
"""The archive and both names of the csv that are about, in the order in which a folder is asked for them."""
_DEPTH = 3
"""Folders that the faces may lie below the one that is named: archive/images/images/train."""
SAME_PHOTO = 0.97
"""Value of an npz's `corr_to_public` from which two faces are practically one photo."""
TWINS = "training faces left out: practically the same photo is in PublicTest"
"""What is said of such faces, their number before it."""


def describe(split: FaceSet) -> str:
    """Return in a few words what a split, one with faces, holds."""
    name = next(name for name, usage in USAGES.items() if usage == split.usage[0])
    return f"FER2013 {name}, {len(split.label)} faces"


def holds_faces(path: Path) -> bool:
    """Return whether `path` looks like FER2013 in any of its forms: speech is never a single file."""
    return bool(_found_in(path)) if path.is_dir() else path.exists()


def read_fer2013(path: Path) -> FaceSet:
    """Read the whole corpus, to train on: as `read_faces`, without what would flatter the validation score.

    That is training faces whose photo is in PublicTest, too. Raises DataError when a label has no face, besides.
    """
    read = read_faces(path)
    if read.pixels.ndim > 3:
        raise DataError(f"{path}: faces in colour; train takes grey ones, (n, 48, 48)")
    faces = without_twins(read)
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


def read_faces(path: Path, form: PictureForm = AS_FER2013) -> FaceSet:
    """Read the npz, the csv, or the folder form (train/angry/*.jpg), or a part of it; broken faces are skipped.

    Pictures are brought to `form`; an npz has faces of its own side, in colour as RGB. A folder may hold any of them
    some folders deeper. Raises DataError when there is no FER2013 at `path`, when nothing says which faces are for
    training, or when no face can be read.
    """
    if path.is_dir():
        found = _found_in(path)
        if len(found) > 1:
            raise DataError(f"{path}: faces in {' and in '.join(map(str, found[:3]))}; name one of them")
        if found:
            return _read_folder(found[0], form) if found[0].is_dir() else read_faces(found[0])
    elif path.exists():
        if path.suffix.lower() == ".npz":
            return _read_npz(path)
        if path.suffix.lower() == ".csv":
            return fer_csv.read_csv(path)
        if problem := _problem(path):
            raise DataError(f"{path}: {problem}")
    raise DataError(
        f"{path}: no FER2013 here; {still_packed(path)}expected fer2013.npz, fer2013.csv, or train/ and test/ folders"
    )


def _found_in(path: Path) -> list[Path]:
    """Return what a folder holds of faces: a file, or the folder of splits or labels; the least deep ones."""
    level = [path]
    for _ in range(_DEPTH + 1):
        if found := [here for folder in level if (here := _found_here(folder))]:
            return found
        level = [inside for folder in level for inside in fer_folders.folders_in(folder)]
    return []


def _found_here(folder: Path) -> Path | None:
    names = {file.name.lower(): file for file in sorted(folder.iterdir())}
    if file := next((names[name] for name in _FILES if name in names), None):
        return file
    tables = any(fer_csv.holds_faces(file) for file in fer_csv.named_as_splits(folder))
    return folder if tables or fer_folders.has_splits(folder) or fer_folders.has_labels(folder) else None


def _read_folder(folder: Path, form: PictureForm) -> FaceSet:
    if fer_folders.has_splits(folder):
        return fer_folders.read_splits(folder, form)
    if fer_folders.has_labels(folder):
        return fer_folders.read_one_split(folder, form)
    return _read_tables(folder)


def _read_tables(folder: Path) -> FaceSet:
    """Read train.csv and test.csv as one corpus; those without labels are left out."""
    parts: list[FaceSet] = []
    skipped: list[str] = []
    for file in fer_csv.named_as_splits(folder):
        try:
            parts.append(fer_csv.read_csv(file))
        except DataError as error:
            skipped.append(str(error))
    if not parts:
        raise DataError(skipped[0])
    return FaceSet(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.label for part in parts]),
        np.concatenate([part.usage for part in parts]),
        np.concatenate([part.votes for part in parts]),
        skipped=(*skipped, *(said for part in parts for said in part.skipped)),
        notes=tuple(said for part in parts for said in part.notes),
    )


def _problem(path: Path) -> str:
    try:
        return stands_for_data(path)
    except OSError as error:
        return f"cannot be read: {error}"


def _read_npz(path: Path) -> FaceSet:
    if problem := _problem(path):
        raise DataError(f"{path}: {problem}")
    try:
        with np.load(path, allow_pickle=False) as data:
            odd = [name for name in data if looks_like_split(name)]
            if odd and "usage" not in data:
                raise DataError(f"{path}: {odd[0]} looks like the split; expected it as usage, 0 to 2")
            pixels, label = data["pixels"], data["label"].astype(np.int64)
            usage = data["usage"].astype(np.int64) if "usage" in data else np.full(len(label), PUBLIC_TEST)
            votes = data["ferplus"] if "ferplus" in data else np.zeros((len(label), 10), np.uint8)
            notes = () if "usage" in data else ("no usage in it: all faces count as PublicTest, never trained on",)
            compared = "corr_to_public" in data
            twin = data["corr_to_public"] if compared else np.zeros(len(label), np.float32)
    # What a damaged archive makes zipfile, zlib and NumPy raise; RuntimeError: it is encrypted, or of a foreign kind.
    except (OSError, EOFError, KeyError, TypeError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: not a FER2013 archive: {error}") from error
    square = pixels.shape[3:] in {(), (3,)} and pixels.ndim > 2 and pixels.shape[1] == pixels.shape[2] >= SMALLEST
    if pixels.dtype != np.uint8 or not square or label.shape != pixels.shape[:1]:
        raise DataError(
            f"{path}: pixels is {pixels.dtype} of shape {pixels.shape} for labels of shape {label.shape}; "
            f"expected squares of side {SMALLEST} or more, uint8, grey (n, 48, 48) or RGB (n, 48, 48, 3), and (n,)"
        )
    if pixels.ndim > 3:
        pixels = pixels[..., ::-1]
    if {len(usage), len(votes), len(twin)} != {len(label)}:
        raise DataError(f"{path}: usage, ferplus or corr_to_public has not one row for each of {len(label)} faces")
    foreign = ~np.isin(label, range(len(LABELS))) | ~np.isin(usage, list(USAGES.values()))
    leaks = ~foreign & (usage == TRAINING) & (twin >= SAME_PHOTO)
    skipped = []
    if leaks.any():
        skipped.append(f"{int(leaks.sum())} {TWINS}")
    if foreign.any():
        skipped.append(
            f"{int(foreign.sum())} faces left out: label not in 0..6 or usage not in 0..2, row {foreign.argmax()} first"
        )
    keep = ~(leaks | foreign)
    if not keep.any():
        raise DataError(f"{path}: no readable face; {skipped[0] if skipped else 'it has no rows'}")
    return FaceSet(pixels[keep], label[keep], usage[keep], votes_of(votes[keep]), tuple(skipped), compared, notes)

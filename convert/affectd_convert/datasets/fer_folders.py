"""FER2013 as pictures in folders, a folder per label in a folder per split, as Kaggle's copies have it."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.events import LABELS
from affectd.face.preprocess import resized
from affectd_convert.datasets.face_set import SMALLEST, FaceList, FaceSet, PictureForm
from affectd_convert.datasets.names import label_of, said_of_splits, usages_of
from affectd_convert.datasets.not_itself import POINTER, is_pointer
from affectd_convert.errors import DataError

_PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm"}


def folders_in(path: Path) -> list[Path]:
    """Return the folders in `path`, sorted, without hidden ones."""
    return sorted(inside for inside in path.iterdir() if inside.is_dir() and not _hidden(inside))


def has_splits(path: Path) -> bool:
    """Return whether `path` holds folders of splits that hold folders of labels."""
    folders = folders_in(path)
    known = usages_of([folder.name for folder in folders])
    return any(has_labels(_label_root(folder)) for folder in folders if folder.name in known)


def has_labels(path: Path) -> bool:
    """Return whether `path` holds folders of labels with pictures in them."""
    return any(_is_label(folder.name) and _has_pictures(folder) for folder in folders_in(path))


def read_splits(path: Path, form: PictureForm) -> FaceSet:
    """Read train/angry/*.jpg and the like; what is broken is left out. Raises DataError when nothing can be read."""
    folders = folders_in(path)
    usages = usages_of([folder.name for folder in folders])
    faces = FaceList()
    pointers = [
        file
        for folder in folders
        if folder.name in usages
        for file in _read_split(path, _label_root(folder), usages[folder.name], faces, form)
    ]
    for folder in folders:
        if folder.name not in usages:
            faces.left_out.add(f"{folder.name}/", "not a known split")
    return _face_set(path, faces, pointers, said_of_splits(usages))


def read_one_split(path: Path, form: PictureForm) -> FaceSet:
    """Read the folders of labels in `path`, which its own name says the split of.

    Raises DataError when that is no split: a guess could make validation of what a model was trained on.
    """
    usages = usages_of([path.resolve().name, *(folder.name for folder in folders_in(path.resolve().parent))])
    usage = usages.get(path.resolve().name)
    if usage is None:
        raise DataError(
            f"{path}: folders of labels, and nothing says whether they are for training or held out; "
            "put them into a folder train or test"
        )
    faces = FaceList()
    pointers = _read_split(path, path, usage, faces, form)
    return _face_set(path, faces, pointers, said_of_splits({path.resolve().name: usage}))


def _face_set(path: Path, faces: FaceList, pointers: list[Path], notes: tuple[str, ...]) -> FaceSet:
    faces.left_out.add_pointers(path, pointers)
    return faces.face_set(path, notes=notes)


def _read_split(path: Path, split: Path, usage: int, faces: FaceList, form: PictureForm) -> list[Path]:
    """Read the folders of labels in `split` into `faces`; return the files that are git-lfs pointers."""
    _must_count_from_0(split)
    pointers = []
    for folder in folders_in(split):
        label, files = _label(folder.name), sorted(file for file in folder.iterdir() if not _hidden(file))
        if label is None:
            if files:
                there = f"{len(files)} files" if len(files) > 1 else "1 file"
                faces.left_out.add(f"{folder.relative_to(path)}/, {there}", "not one of FER2013's seven labels")
            continue
        for file in files:
            face, problem = _face(file, form)
            if face is not None:
                faces.add(face, label, usage)
            elif problem == POINTER:
                pointers.append(file)
            else:
                faces.left_out.add(str(file.relative_to(path)), problem)
    return pointers


def _label(name: str) -> int | None:
    """Return the label number that a folder's name stands for: angry, Anger, 0_angry, or FER2013's number alone."""
    if name.isdecimal():
        return int(name) if int(name) < len(LABELS) else None
    label = label_of(name)
    return None if label is None else LABELS.index(label)


def _is_label(name: str) -> bool:
    return name.isdecimal() or label_of(name) is not None


def _must_count_from_0(split: Path) -> None:
    """Raise DataError when folders are numbered other than 0 to 6, as RAF-DB's 1 to 7: each would be another label."""
    numbers = {int(folder.name) for folder in folders_in(split) if folder.name.isdecimal()}
    if numbers and not (0 in numbers and max(numbers) < len(LABELS)):
        raise DataError(
            f"{split}: folders are numbered {min(numbers)} to {max(numbers)}; FER2013's are 0 (angry) to 6 (neutral)"
        )


def _label_root(split: Path) -> Path:
    """Return the folder with the labels: the split's own, or the only one in it (train/train/angry)."""
    inside = folders_in(split)
    return inside[0] if len(inside) == 1 and not has_labels(split) and has_labels(inside[0]) else split


def _has_pictures(folder: Path) -> bool:
    return any(file.suffix.lower() in _PICTURES for file in folder.iterdir())


def _hidden(path: Path) -> bool:
    """Return whether an operating system or an archiver put it there: .DS_Store, ._a.png, __MACOSX, Thumbs.db."""
    return bool(re.match(r"\.|__MACOSX$|Thumbs\.db$|desktop\.ini$", path.name))


def _face(file: Path, form: PictureForm) -> tuple[NDArray[np.uint8] | None, str]:
    """Read a picture as a face in its form, grey or BGR, or return why it is none."""
    if is_pointer(file):
        return None, POINTER
    try:
        # Decoded from memory: OpenCV writes a line of its own for a file that it cannot open.
        content = np.frombuffer(file.read_bytes(), np.uint8)
    except OSError:
        return None, "not a readable image"
    how = cv2.IMREAD_COLOR if form.colour else cv2.IMREAD_GRAYSCALE
    image = cv2.imdecode(content, how) if len(content) else None
    if image is None:
        return None, "not a readable image"
    if min(image.shape[:2]) < SMALLEST:
        return None, f"{image.shape[1]}x{image.shape[0]} pixels; too small for a face"
    return resized(np.asarray(image, np.uint8), form.side, form.side), ""

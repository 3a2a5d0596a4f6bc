"""The training faces and the code that trains, in one folder small enough to be carried anywhere."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import affectd
import affectd_convert
from affectd.version import local_part
from affectd_convert.datasets import fer2013
from affectd_convert.datasets.face_set import SIDE, FaceSet
from affectd_convert.errors import DataError, TrainingError
from affectd_convert.training.on_gpu import parts
from affectd_convert.training.run_config import DataUsed

NAME = "faces"
LAUNCHER = "train-on-gpu"
_ACROSS = 64
"""Faces in a row of the sheet: as one PNG they take 70 % of their bytes, each for itself 95."""


@dataclass(frozen=True, eq=False)
class Pack:
    """What a GPU machine is given."""

    training: FaceSet
    validation: FaceSet
    """PublicTest."""
    used: DataUsed
    """As config.json of a run will say it."""
    digest: str
    """SHA-256 of the packed faces."""


def pack(data: Path, out: Path) -> int:
    """Write FER2013's Training, without twins of PublicTest, and PublicTest into `out`; return the bytes written.

    With them goes the code, so that the folder is all that the other machine needs. Raises DataError when there is no
    such data, TrainingError or OSError when the folder cannot be written.
    """
    faces = fer2013.read_fer2013(data)
    both = faces.only(faces.usage != fer2013.PRIVATE_TEST)
    training, validation = (both.split(usage) for usage in (fer2013.TRAINING, fer2013.PUBLIC_TEST))
    if not len(training.label) or not len(validation.label):
        raise DataError(f"{data}: needs both a Training and a PublicTest split")
    if both.pixels.shape[1] != SIDE:
        raise DataError(f"{data}: faces of {both.pixels.shape[1]} pixels a side; this trains on those of {SIDE} only")
    content = io.BytesIO()
    np.savez(
        content,
        sheet=_sheet(both.pixels),
        label=both.label.astype(np.uint8),
        usage=both.usage.astype(np.uint8),
        votes=both.votes.astype(np.uint8),
    )
    used = DataUsed(
        training=fer2013.describe(training), validation=fer2013.describe(validation), left_out=tuple(faces.skipped)
    )
    parts.write_parts(out, NAME, content.getvalue(), asdict(used))
    _copy_code(out)
    return sum(file.stat().st_size for file in out.rglob("*") if file.is_file())


def read_pack(folder: Path) -> Pack:
    """Read what `pack` wrote. Raises TrainingError when a part is not there or not whole."""
    content, said = parts.read_parts(folder, NAME), parts.about(folder, NAME)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            label, usage = arrays["label"].astype(np.int64), arrays["usage"].astype(np.int64)
            votes = arrays["votes"].astype(np.float32)
            pixels = _faces(arrays["sheet"], len(label))
        used = _used(said)
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{folder}: not a pack of faces: {error}; make it anew with 'pack'") from error
    both = FaceSet(pixels, label, usage, votes, used.left_out, compared=True)
    return Pack(both.split(fer2013.TRAINING), both.split(fer2013.PUBLIC_TEST), used, parts.digest_of(folder, NAME))


def _used(said: Mapping[str, Any]) -> DataUsed:
    return DataUsed(training=said["training"], validation=said["validation"], left_out=tuple(said["left_out"]))


def _sheet(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay out faces (n, side, side) as rows of one picture, and return it as PNG, (bytes,)."""
    down = -(-len(pixels) // _ACROSS)
    grid = np.zeros((down * _ACROSS, SIDE, SIDE), np.uint8)
    grid[: len(pixels)] = pixels
    picture = grid.reshape(down, _ACROSS, SIDE, SIDE).swapaxes(1, 2).reshape(down * SIDE, _ACROSS * SIDE)
    how = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FILTERED]
    _, coded = cv2.imencode(".png", picture, how)
    return np.asarray(coded, np.uint8).ravel()


def _faces(sheet: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Return the faces (count, side, side) of a `_sheet`. Raises ValueError when it is none."""
    picture = cv2.imdecode(sheet, cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise ValueError("its sheet is no picture")
    rows = picture.reshape(-1, SIDE, _ACROSS, SIDE).swapaxes(1, 2)
    return np.ascontiguousarray(rows.reshape(-1, SIDE, SIDE)[:count], np.uint8)


def _copy_code(out: Path) -> None:
    """Copy the Python files of both packages and the launcher, laid out as in a checkout."""
    for package in (affectd, affectd_convert):
        source = Path(str(package.__file__)).parent
        root = out / source.parent.name / source.name
        for file in source.rglob("*.py"):
            target = root / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    (out / "device" / "affectd" / "commit").write_text(f"{local_part()}\n", encoding="ascii")
    launcher = Path(affectd_convert.__file__).parents[2] / "scripts" / LAUNCHER
    (out / "scripts").mkdir(exist_ok=True)
    shutil.copy(launcher, out / "scripts" / LAUNCHER)

"""Bytes as files of less than 16 MB and an index of their checksums: what may be copied one by one, and be proven."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from affectd_convert.errors import TrainingError

PART = 15_000_000
"""Bytes of a file at most: places that files go through take 16 MB each."""


def write_parts(folder: Path, name: str, content: bytes, about: Mapping[str, Any]) -> None:
    """Write `content` as NAME-*.00, .01, ... and NAME.json, its index with what is said `about` it.

    The index is written last and renamed: until then the files of before are whole. Raises TrainingError when the disk
    is full or may not be written to.
    """
    digest = _digest(content)
    pieces = [content[start : start + PART] for start in range(0, len(content), PART)]
    names = [f"{name}-{digest[:12]}.{number:02d}" for number in range(len(pieces))]
    listed = [
        {"file": file, "bytes": len(piece), "sha256": _digest(piece)} for file, piece in zip(names, pieces, strict=True)
    ]
    index = folder / f"{name}.json"
    beside = folder / f".new-{name}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, piece in zip(names, pieces, strict=True):
            (folder / file).write_bytes(piece)
        beside.write_text(json.dumps({"parts": listed, "sha256": digest, "about": about}, indent=1) + "\n")
        beside.replace(index)
        older = {path for path in folder.glob(f"{name}-*.[0-9][0-9]") if path.name not in names}
        for path in older:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise TrainingError(
            f"{folder}: {name} cannot be written: {error.strerror}; {free(folder) / 1e6:.0f} MB are free on that disk. "
            "What was there before is whole: make room, and the same command goes on"
        ) from error


def read_parts(folder: Path, name: str) -> bytes:
    """Join and return what `write_parts` wrote.

    Raises TrainingError when a file is not there, or not the one that was written.
    """
    index = _index(folder, name)
    pieces = []
    for part in index["parts"]:
        file = folder / part["file"]
        try:
            piece = file.read_bytes()
        except OSError as error:
            raise TrainingError(
                f"{file}: {error.strerror}; copy all {len(index['parts'])} files that {name}.json lists"
            ) from error
        if _digest(piece) != part["sha256"]:
            raise TrainingError(
                f"{file}: not the file that was written ({len(piece)} bytes, {part['bytes']} expected, or other ones); "
                "copy it again"
            )
        pieces.append(piece)
    return b"".join(pieces)


def about(folder: Path, name: str) -> dict[str, Any]:
    """Return what the index says of its content. Raises TrainingError when there is none, or it cannot be read."""
    said: dict[str, Any] = _index(folder, name)["about"]
    return said


def digest_of(folder: Path, name: str) -> str:
    """Return the SHA-256 of the whole content, as the index has it. Raises TrainingError."""
    return str(_index(folder, name)["sha256"])


def is_there(folder: Path, name: str) -> bool:
    """Return whether `folder` has an index of that name."""
    return (folder / f"{name}.json").is_file()


def names_in(folder: Path) -> list[str]:
    """Return the names of all that `folder` has in parts."""
    return sorted(index.stem for index in folder.glob("*.json") if not index.name.startswith("."))


def copy_parts(source: Path, target: Path, name: str) -> None:
    """Copy what has that name, proven. Raises TrainingError when a part is not whole."""
    write_parts(target, name, read_parts(source, name), about(source, name))


def free(folder: Path) -> int:
    """Return the bytes that are free on the disk of `folder`, or of the folder that it will be made in."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def _index(folder: Path, name: str) -> dict[str, Any]:
    path = folder / f"{name}.json"
    try:
        index: dict[str, Any] = json.loads(path.read_text())
        missing = {"parts", "sha256", "about"} - index.keys()
    except FileNotFoundError as error:
        raise TrainingError(f"{path}: is not there; copy it with the files that it lists") from error
    except (OSError, ValueError, AttributeError) as error:
        raise TrainingError(f"{path}: not an index of parts: {error}; copy it again") from error
    if missing:
        raise TrainingError(f"{path}: not an index of parts: it has no {', '.join(sorted(missing))}")
    return index


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

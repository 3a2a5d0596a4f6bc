"""A copy of a photograph with its faces drawn in, legible whatever its size."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.cli.file_reading import leading
from affectd.errors import ConfigError
from affectd.events import LABELS, TrackedFace

LEAST_SIDE, MOST_SIDE = 640, 2048
"""Pixels of the drawing's longer side."""
GREEN, BLACK = (80, 220, 80), (0, 0, 0)
FONT = cv2.FONT_HERSHEY_SIMPLEX
LEAST_SCALE = 0.5
"""Of the font, whose letters then are 11 pixels high."""
SPREAD = 1.5
"""Width of a text over that of its box, so that it leaves the neighbours' faces free."""


def write_annotated(out: Path, picture: NDArray[np.uint8], faces: Sequence[TrackedFace]) -> None:
    """Write `picture`, (height, width, 3) BGR, with its faces drawn in to the PNG file `out`. Raises ConfigError."""
    data = cv2.imencode(".png", annotated(picture, faces))[1].tobytes()
    part = None
    try:
        with tempfile.NamedTemporaryFile(dir=out.parent, prefix=".affectd-", delete=False) as stream:
            part = Path(stream.name)
            stream.write(data)
        part.chmod(0o666 & ~_umask())
        part.replace(out)
    except OSError as error:
        if part is not None:
            part.unlink(missing_ok=True)
        raise ConfigError(f"{out}: cannot be written: {error.strerror}; name another file with --annotate") from error


def annotated(picture: NDArray[np.uint8], faces: Sequence[TrackedFace]) -> NDArray[np.uint8]:
    """Return a copy, its longer side within LEAST_SIDE and MOST_SIDE, with each face's box, number and emotion."""
    longer = max(picture.shape[:2])
    zoom = min(max(longer, LEAST_SIDE), MOST_SIDE) / longer
    size = (max(1, round(picture.shape[1] * zoom)), max(1, round(picture.shape[0] * zoom)))
    drawing = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC)
    for number, face in enumerate(faces, start=1):
        _draw(drawing, number, face)
    return np.asarray(drawing, np.uint8)


def _draw(drawing: NDArray[np.uint8], number: int, face: TrackedFace) -> None:
    height, width = drawing.shape[:2]
    box = face.box
    centre = ((box.x + box.width / 2) * width, (box.y + box.height / 2) * height)
    corners = cv2.boxPoints((centre, (box.width * width, box.height * height), face.roll_deg))
    thickness = max(2, round(max(width, height) / 400))
    cv2.polylines(drawing, [np.rint(corners).astype(np.int32)], True, GREEN, thickness, cv2.LINE_AA)
    emotion, confidence = leading(face.probabilities, LABELS)
    _write(drawing, f"{number} {emotion} {confidence:.0%}", corners)


def _write(drawing: NDArray[np.uint8], text: str, corners: NDArray[np.float32]) -> None:
    """Write above the box, or below it where there is no room, within the picture and not much wider than the box."""
    height, width = drawing.shape[:2]
    room = SPREAD * float(np.ptp(corners[:, 0])) / cv2.getTextSize(text, FONT, 1.0, 1)[0][0]
    scale = min(max(room, LEAST_SCALE), max(width, height) / 1200)
    stroke = max(1, round(2 * scale))
    (columns, rows), _ = cv2.getTextSize(text, FONT, scale, stroke)
    margin = rows // 2
    left = int(min(max(0, corners[:, 0].min()), width - columns - 2 * margin))
    top = int(corners[:, 1].min()) - rows - 2 * margin
    if top < 0:
        top = int(min(corners[:, 1].max(), height - rows - 2 * margin))
    left, top = max(0, left), max(0, top)
    cv2.rectangle(drawing, (left, top), (left + columns + 2 * margin, top + rows + 2 * margin), BLACK, -1)
    cv2.putText(drawing, text, (left + margin, top + rows + margin), FONT, scale, GREEN, stroke, cv2.LINE_AA)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

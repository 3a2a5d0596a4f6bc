"""A photograph out of a file, upright, in memory only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from affectd.errors import CaptureError

LARGEST_BYTES = 500_000_000
UNCOMMON = {"HEIC", "AVIF", "GIF", "JPEG 2000", "OpenEXR"}
"""Formats that not every OpenCV was built for."""


def read_picture(stream: BinaryIO, name: str, kind: str) -> NDArray[np.uint8]:
    """Return the picture in `stream`, a file called `name` of format `kind`, as (height, width, 3) BGR.

    It is turned as its EXIF orientation says (but for WebP's, which OpenCV leaves as it is); deep colours become
    8 bit, and transparency is dropped.
    Raises CaptureError when it is cut short, damaged, too large or of a format that OpenCV does not decode.
    """
    try:
        if (size := os.fstat(stream.fileno()).st_size) > LARGEST_BYTES:
            raise CaptureError(f"{name}: {size / 1e6:.0f} MB are too many for a picture; make it smaller")
        data = np.frombuffer(stream.read(LARGEST_BYTES), np.uint8)
        with _quiet_libraries():
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except OSError as error:
        raise CaptureError(f"{name}: cannot be read: {error.strerror}") from error
    except (cv2.error, MemoryError) as error:
        raise CaptureError(f"{name}: {_refusal(kind, str(error))}") from error
    if picture is None:
        raise CaptureError(f"{name}: {_undecoded(kind)}")
    return np.asarray(picture, np.uint8)


def _undecoded(kind: str) -> str:
    if kind in UNCOMMON:
        return f"this {kind} picture is damaged, or OpenCV here does not decode {kind}; save it as JPEG or PNG"
    return f"this {kind} picture cannot be decoded; it is cut short or damaged"


def _refusal(kind: str, error: str) -> str:
    if "MAX_IMAGE" in error:
        return f"this {kind} picture has more pixels than are read; make it smaller"
    if "nsufficient memory" in error or not error:
        return f"this {kind} picture is too large for the memory; make it smaller"
    return _undecoded(kind)


@contextlib.contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Let what libjpeg, libpng and OpenCV write of a damaged picture to standard error go nowhere."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)

"""What a file holds, by its first bytes and not by its name, and the sentence for what cannot be read at all."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from affectd.errors import CaptureError

HEAD = 16
"""Leading bytes by which the kind is recognized."""
_PICTURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"GIF8", "GIF"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "HDR"),
    *((b"P%d" % number + space, "portable pixmap") for number in range(1, 7) for space in (b"\n", b" ", b"\r\n")),
)
_APPLE = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"}
_AV1 = {b"avif", b"avis"}


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file seems to hold."""

    sense: Literal["picture", "wav", "other"]
    """Other: sound or a video that PyAV may know, or neither."""
    name: str
    """Of a picture's format."""


def kind_of(head: bytes) -> FileKind:
    """Return what a file that begins with these bytes holds."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return FileKind("picture", "WebP")
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return FileKind("wav", "WAV")
    if head[4:8] == b"ftyp" and head[8:12] in _APPLE | _AV1:
        return FileKind("picture", "HEIC" if head[8:12] in _APPLE else "AVIF")
    name = next((name for magic, name in _PICTURES if head.startswith(magic)), None)
    return FileKind("other", "") if name is None else FileKind("picture", name)


def open_file(path: Path) -> BinaryIO:
    """Open a regular file to read; nothing else is touched, for a pipe would block, and a device is no file.

    Raises CaptureError.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise CaptureError(f"{path}: {_not_a_file(found.st_mode)}")
        if not found.st_size:
            raise CaptureError(f"{path}: is empty")
        # Were it a pipe by now, opening it would still not wait for a writer.
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # a zero byte in the name
        raise CaptureError(f"{path}: cannot be read: {error}") from error


def _not_a_file(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "is a folder; name the files in it, as in FOLDER/*"
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return "is a device, not a file; `affectd check` tries cameras and microphones"
    return "is a pipe or a socket, not a file; save what comes out of it, and name that"

"""Files that stand for the data instead of being it: git-lfs pointers, archives not yet unpacked, spreadsheets."""

from __future__ import annotations

from pathlib import Path

POINTER = "git-lfs pointer: run git lfs pull"
"""What is said of such a file."""
_POINTER_BEGINS = b"version https://git-lfs"
_PACKED_BEGIN = (b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\xfd7zXZ", b"BZh")
_PACKED = {".zip", ".gz", ".tgz", ".tar", ".7z", ".rar", ".xz", ".bz2"}
_SPREADSHEETS = {".xlsx", ".xls", ".ods"}


def is_pointer(file: Path) -> bool:
    """Return whether git-lfs left its pointer where the file belongs."""
    try:
        return _beginning(file).startswith(_POINTER_BEGINS)
    except OSError:
        return False


def packed(path: Path) -> bool:
    """Return whether the name is that of an archive."""
    return path.suffix.lower() in _PACKED


def stands_for_data(path: Path) -> str:
    """Return what must be done to a file before it can be read as table or archive of arrays; empty: nothing.

    Raises OSError when it cannot be read.
    """
    if path.suffix.lower() in _SPREADSHEETS:
        return "a spreadsheet; save it as CSV"
    beginning = _beginning(path)
    if beginning.startswith(_POINTER_BEGINS):
        return POINTER
    # An npz is a zip itself.
    if packed(path) or (path.suffix.lower() != ".npz" and beginning.startswith(_PACKED_BEGIN)):
        return "packed; unpack it, and name the folder or file that comes out"
    return ""


def still_packed(path: Path) -> str:
    """Return a hint, to stand in a sentence, at an archive in a folder where nothing was found; empty without one."""
    archive = next((file for file in sorted(path.iterdir()) if packed(file)), None) if path.is_dir() else None
    return f"{archive.name} is still packed; " if archive else ""


def _beginning(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(len(_POINTER_BEGINS))

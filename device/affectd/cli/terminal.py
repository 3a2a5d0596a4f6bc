"""Standard input, output and error as the commands need them: open, and able to write every character somehow."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_DEGRADE = "affectd.degrade"
STAND_INS = {"█": "#", "░": "-", "°": ""}
"""What is written for a character that the terminal's encoding lacks; '?' for any other."""


def prepare_streams() -> None:
    """Open those of the three descriptors that the caller closed, and have the output lose characters, not end.

    A descriptor left closed would be given to the next socket or file, and what is meant for a person go into it.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free: this one
    codecs.register_error(_DEGRADE, _degrade)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:  # Python found it closed
            setattr(sys, name, open(descriptor, "w", encoding="ascii", errors=_DEGRADE, closefd=False))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_DEGRADE)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Drop what PortAudio's back ends and the runtimes write to standard error past Python."""
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def plain(text: str) -> str:
    """Keep a foreign sender, or a file's name, from steering the terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _degrade(error: UnicodeError) -> tuple[str, int]:
    """Write characters that the encoding lacks by others; a byte of a file name that is no text as \\xNN."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_stand_in, error.object[error.start : error.end])), error.end


def _stand_in(character: str) -> str:
    escaped_byte = ord(character) - 0xDC00  # as Python's surrogateescape keeps a byte that it could not decode
    if 0x80 <= escaped_byte <= 0xFF:
        return f"\\x{escaped_byte:02x}"
    return STAND_INS.get(character, "?")

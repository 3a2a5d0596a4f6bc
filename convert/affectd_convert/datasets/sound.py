"""Recorded clips as samples, and what makes a clip useless: no sound in it, a part of the file missing, no numbers."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from affectd_convert.datasets.not_itself import POINTER, is_pointer
from affectd_convert.errors import DataError

SILENT = 0.001
"""Of full scale, -60 dB, 32 steps of 16 bits: what swings less is silence. The quietest of RAVDESS's twenty actors'
clips that were measured reaches 0.0045."""
_BLOCK_S = 0.01
_SHORTEST_S = 0.1
"""A clip with less sound than that holds no word; a click is shorter."""
_MISSING = 0.01
"""Share of a file's sound that may be missing: some headers count a few bytes too many."""
_STREAMED = 0x7FFF0000
"""Bytes from which a WAV's header names no length: it was written to a pipe."""


class _UnusableError(Exception):
    """A sound file is of no use; the message is why, without its name."""


def read_samples(path: Path, sample_rate: int) -> NDArray[np.int16]:
    """Read a clip as mono int16 at `sample_rate`. Raises DataError when it cannot be read, is cut short or empty."""
    try:
        mono, rate = _read_mono(path)
    except _UnusableError as error:
        raise DataError(f"{path}: {error}") from error
    if rate != sample_rate:
        divisor = int(np.gcd(rate, sample_rate))
        mono = resample_poly(mono, sample_rate // divisor, rate // divisor)
    return np.asarray(np.clip(mono * 32768.0, -32768, 32767), np.int16)


def problem_of(path: Path) -> str:
    """Return why a clip cannot be trained on, empty when it can: as `read_samples`, or it is silent or no word long."""
    try:
        state = path.stat()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return _problem_of(path, state.st_size, state.st_mtime_ns)


@cache
def _problem_of(path: Path, _size: int, _modified_ns: int) -> str:
    """Read a clip once for all that ask about it, as long as the file is the same."""
    try:
        mono, rate = _read_mono(path)
    except _UnusableError as error:
        return str(error)
    if len(mono) < _SHORTEST_S * rate:
        return f"holds {1000 * len(mono) / rate:.0f} ms of sound; too little for a word"
    block = max(1, round(_BLOCK_S * rate))
    blocks = mono[: len(mono) // block * block].reshape(-1, block)
    # Half of what lies between highest and lowest sample: a constant offset is no sound.
    loud = int(np.count_nonzero(np.ptp(blocks, axis=1) / 2 >= SILENT))
    if loud * _BLOCK_S < _SHORTEST_S:
        return (
            f"silent: of {len(mono) / rate:.1f} s, {loud * 1000 * _BLOCK_S:.0f} ms are louder than -60 dB of full scale"
        )
    return ""


def _read_mono(path: Path) -> tuple[NDArray[np.float32], int]:
    """Read a file as samples (n,), the mean of its channels, and their rate in Hz. Raises _UnusableError."""
    if is_pointer(path):
        raise _UnusableError(POINTER)
    try:
        with soundfile.SoundFile(path) as file:
            samples, rate, named = file.read(dtype="float32", always_2d=True), file.samplerate, file.frames
    except (OSError, soundfile.LibsndfileError) as error:
        raise _UnusableError("not a readable sound file") from error
    if not len(samples):
        raise _UnusableError("holds no sound")
    missing = max(1 - len(samples) / named, _missing_of_wav(path))
    if missing > _MISSING:
        raise _UnusableError(f"cut short: {missing:.0%} of its sound is missing")
    if not np.isfinite(samples).all():
        raise _UnusableError("some of its samples are no numbers (NaN or infinite)")
    return np.asarray(samples.mean(axis=1)), int(rate)


def _missing_of_wav(path: Path) -> float:
    """Return which share of the sound that a WAV's header names is not in the file; 0 for another format.

    libsndfile takes what there is as the whole.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        if stream.read(4) != b"RIFF" or stream.read(8)[4:] != b"WAVE":
            return 0.0
        while len(head := stream.read(8)) == 8:
            named = int.from_bytes(head[4:], "little")
            if head[:4] == b"data":
                there = size - stream.tell()
                return 0.0 if named >= _STREAMED or not named else max(0.0, 1 - there / named)
            stream.seek(named + named % 2, 1)
    return 0.0

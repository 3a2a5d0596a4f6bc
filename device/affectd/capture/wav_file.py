"""A WAV file's sound as mono at 16 kHz, a second at a time: PCM of 8 to 32 bits, and floating point."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from affectd.capture.clip_file import CUT_SHORT_S
from affectd.errors import CaptureError
from affectd.resample import MonoResampler

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
SLOWEST, FASTEST = 1_000, 192_000
"""Samples a second."""
MOST_CHANNELS = 16
ALLOWED = f"1 to {MOST_CHANNELS} channels at {SLOWEST} to {FASTEST} Hz"
STREAMED = 0x7FFF0000
"""Bytes from which a header names no length: the file was written to a pipe."""


@dataclass(frozen=True, slots=True)
class WavFormat:
    """How the samples lie in the file."""

    coding: int
    """PCM, FLOAT or another registered number."""
    channels: int
    rate: int
    """Samples a second of each channel."""
    bits: int
    """Of one sample as stored."""

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * self.bits // 8

    @property
    def known(self) -> bool:
        """Whether the samples can be read here."""
        return (self.coding == PCM and self.bits in (8, 16, 24, 32)) or (self.coding == FLOAT and self.bits in (32, 64))


def read_format(stream: BinaryIO, name: str) -> tuple[WavFormat, int]:
    """Return how the samples lie, and how many bytes of them the header names, and leave the stream where they begin.

    Raises CaptureError when the file, called `name`, is no WAV or has a senseless header.
    """
    stream.seek(12)
    found = None
    while len(head := stream.read(8)) == 8:
        chunk, size = head[:4], int.from_bytes(head[4:], "little")
        if chunk == b"data" and found is not None:
            return found, size
        if chunk == b"fmt ":
            found = _parsed(stream.read(size), name)
            stream.seek(size % 2, os.SEEK_CUR)
        else:
            stream.seek(size + size % 2, os.SEEK_CUR)
    raise CaptureError(f"{name}: a WAV file without sound; it is cut short or damaged")


def read_sound(stream: BinaryIO, name: str) -> Iterator[NDArray[np.int16]]:
    """Yield (n,) int16 mono samples at 16 kHz, about a second each. Raises CaptureError, also when it is cut short."""
    layout, named = read_format(stream, name)
    resampler = MonoResampler(layout.rate, layout.channels)
    left = named // layout.frame_bytes if 0 < named < STREAMED else None
    taken = 0
    while block := stream.read(layout.frame_bytes * (layout.rate if left is None else min(left, layout.rate))):
        frames = len(block) // layout.frame_bytes
        taken += frames
        left = None if left is None else left - frames
        yield resampler.process(_as_int16(block[: frames * layout.frame_bytes], layout))
    yield resampler.rest()
    if left is not None and left > CUT_SHORT_S * layout.rate:
        seconds, whole = taken / layout.rate, (taken + left) / layout.rate
        raise CaptureError(f"{name}: cut short at second {seconds:.1f} of {whole:.1f}")


def _parsed(fields: bytes, name: str) -> WavFormat:
    if len(fields) < 16:
        raise CaptureError(f"{name}: a WAV file with a damaged header")
    coding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", fields)
    if coding == EXTENSIBLE and len(fields) >= 26:
        coding = int.from_bytes(fields[24:26], "little")
    if not 1 <= channels <= MOST_CHANNELS or not SLOWEST <= rate <= FASTEST:
        raise CaptureError(f"{name}: a WAV file of {channels} channels at {rate} Hz; {ALLOWED} are read")
    return WavFormat(coding, channels, rate, bits)


def _as_int16(data: bytes, layout: WavFormat) -> NDArray[np.int16]:
    """Return interleaved samples as int16; what is not finite is silence."""
    if layout.coding == FLOAT:
        values = np.nan_to_num(np.frombuffer(data, f"<f{layout.bits // 8}"), nan=0.0, posinf=0.0, neginf=0.0)
        scaled: NDArray[np.int16] = np.clip(np.rint(values * 32_768.0), -32_768, 32_767).astype(np.int16)
        return scaled
    if layout.bits == 8:
        return (np.frombuffer(data, np.uint8).astype(np.int16) - 128) * 256
    # The upper two bytes of each sample, little-endian.
    upper = np.frombuffer(data, np.uint8).reshape(-1, layout.bits // 8)[:, -2:].tobytes()
    return np.frombuffer(upper, "<i2").astype(np.int16, copy=False)

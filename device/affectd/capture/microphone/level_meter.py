"""How loud each channel of a device is: what helps to find the right one of an array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from affectd.capture.microphone.conversion import frames_of
from affectd.capture.microphone.portaudio import StreamFormat

FULL_SCALE = 32_768
SILENCE_DB = -120.0


@dataclass(frozen=True, slots=True)
class ChannelLevel:
    """One channel over a stretch of sound, in decibels of full scale; -120 for silence."""

    level_db: float
    """Its mean power, without its DC offset."""
    peak_db: float
    offset_db: float
    """Its DC offset; a high one is the mark of an I2S microphone, and is filtered out."""
    same_as: int | None
    """Number of an earlier channel that is the same to the bit, as where a sound server makes up channels."""


def channel_levels(blocks: list[bytes], layout: StreamFormat) -> list[ChannelLevel]:
    """Measure each channel in blocks of a stream, at least one."""
    frames = frames_of(b"".join(blocks), layout)
    offsets = frames.mean(axis=0, dtype=np.float64)
    swings = frames - offsets.astype(np.float32)
    powers = np.square(swings).mean(axis=0, dtype=np.float64)
    peaks = np.abs(swings).max(axis=0)
    return [
        ChannelLevel(_decibels(power**0.5), _decibels(peak), _decibels(abs(offset)), _twin(frames, i))
        for i, (power, peak, offset) in enumerate(zip(powers, peaks, offsets, strict=True))
    ]


def _twin(frames: NDArray[np.float32], index: int) -> int | None:
    """Return the number of the first channel that sounds the same as that at `index`; silence is like no other."""
    if not frames[:, index].any():
        return None
    return next((i + 1 for i in range(index) if np.array_equal(frames[:, i], frames[:, index])), None)


def _decibels(amplitude: float) -> float:
    return max(SILENCE_DB, 20 * float(np.log10(max(amplitude / FULL_SCALE, 1e-12))))

"""Which channel of a microphone is used, as set by `microphone.channel`: a number, the mean, or the loudest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FEW = (1, 2, 4, 6, 8)
_CARD_MOST = 16
"""What offers more is no card but a sound server or plug, which makes up what its card lacks."""

LEAD_DB = 6.0
"""The loudest channel is taken when it leads the present one by this much."""
SPEECH_DB = 10.0
"""A channel this much over its background is in the middle of an utterance."""
PAUSE_S = 0.5
"""An utterance is over when its channel was in the background for so long: a phrase has shorter pauses."""
FLOOR_RISES_DB_S = 1.0
"""What goes on without a pause becomes background at this pace."""


def counts_to_try(choice: str, most: int) -> list[int]:
    """Return how many channels to request of a device that has `most`, best first; empty: it has too few.

    Of fewer than it has, a card delivers its first; a sound server mixes them, so as many are requested as arrays
    have, and makes up what is missing.
    """
    if choice == "auto":
        return sorted({1, min(2, most), most})
    least = max(int(choice), min(2, most)) if choice.isdecimal() else 1
    counts = {count for count in (least, *_FEW, most) if least <= count <= most}
    if most <= _CARD_MOST:
        return sorted(counts, reverse=not choice.isdecimal())
    if choice == "mean":
        return [1, most]
    return sorted(counts - {most}, reverse=True) + sorted(counts & {most})


class ChannelChoice:
    """Makes mono sound of frames of `count` channels."""

    def __init__(self, choice: str, count: int, rate: int) -> None:
        """Prepare for `rate` frames a second. `auto` is the mean of one or two channels and the first of more."""
        self._mean = choice == "mean" or (choice == "auto" and count <= 2)
        self._loudest = _Loudest(count, rate) if choice == "loudest" and count > 1 else None
        self._fixed = int(choice) - 1 if choice.isdecimal() else 0

    def mono(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the (n,) samples of the chosen channel of (n, count) frames."""
        if self._loudest is not None:
            return self._loudest.mono(frames)
        if self._mean:
            mixed: NDArray[np.float32] = frames.mean(axis=1, dtype=np.float32)
            return mixed
        channel: NDArray[np.float32] = frames[:, self._fixed]
        return channel


class _Loudest:
    """Follows the loudest channel from utterance to utterance, never within one."""

    def __init__(self, count: int, rate: int) -> None:
        self._rate = rate
        self._held: int | None = None
        self._floors = np.full(count, np.inf)
        self._quiet_s = 0.0

    def mono(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        if not len(frames):
            return frames[:, 0]
        seconds = len(frames) / self._rate
        levels = 10 * np.log10(frames.var(axis=0, dtype=np.float64) + 1e-3)  # without the channel's DC offset
        self._floors = np.minimum(levels, self._floors + FLOOR_RISES_DB_S * seconds)
        before = self._held
        if before is None or self._quiet_s >= PAUSE_S:
            loudest = int(np.argmax(levels))
            if before is None or levels[loudest] >= levels[before] + LEAD_DB:
                self._held = loudest
        held = self._held
        assert held is not None
        self._quiet_s = 0.0 if levels[held] >= self._floors[held] + SPEECH_DB else self._quiet_s + seconds
        mono: NDArray[np.float32] = frames[:, held]
        if before is not None and before != held:
            fade = np.linspace(0, 1, len(frames), dtype=np.float32)  # a step would click
            mono = frames[:, before] + fade * (mono - frames[:, before])
        return mono

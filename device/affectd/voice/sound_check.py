"""What somebody should know of a microphone's sound: how loud it is, whether it is dead or overdriven."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

FULL_SCALE = 32_768
WINDOW_S = 10.0
"""Sound that is judged: the newest of it."""
DEAD_PEAK = 1
"""No working microphone stays at this or below; one that is muted delivers zeros."""
CLIPPED_SHARE = 0.001
"""Share of samples at full scale from which sound is overdriven."""
LOG_AGAIN_S = 3600.0
"""The same trouble is logged at most this often: somebody may shout all day."""


@dataclass(frozen=True, slots=True)
class Loudness:
    """How loud a stretch of sound is."""

    level_db: float
    """Of full scale; -100 for silence."""
    peak: int
    clipped: float
    """Share of its samples at full scale, 0..1."""

    @property
    def dead(self) -> bool:
        """Whether no working microphone is so quiet."""
        return self.peak <= DEAD_PEAK

    @property
    def overdriven(self) -> bool:
        """Whether so much of it is cut off that its gain should be turned down."""
        return self.clipped > CLIPPED_SHARE


@dataclass(frozen=True, slots=True)
class _Block:
    size: int
    energy: float
    peak: int
    clipped: int


def at_full_scale(samples: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Return which of (n,) samples the converter has cut off, or nearly so."""
    return (samples >= FULL_SCALE - 2) | (samples <= 2 - FULL_SCALE)


def loudness(samples: NDArray[np.int16]) -> Loudness:
    """Judge (n,) samples, n > 0."""
    return _judge([_block(samples)])


class SoundCheck:
    """Listens along with the voice path, for /health and the log. One thread feeds it, any may look."""

    def __init__(self, sample_rate: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = round(WINDOW_S * sample_rate)
        self._clock = clock
        self._blocks: deque[_Block] = deque()
        self._size = 0
        self._warned_at: dict[str, float] = {}
        self._warned = False
        self.loudness: Loudness | None = None
        """Of the newest 10 s; None while no sound comes."""
        self.trouble: Literal["dead", "overdriven"] | None = None
        self.notice: str | None = None
        """The trouble in a sentence."""

    def take(self, name: str, samples: NDArray[np.int16]) -> None:
        """Take the next (n,) samples of the microphone called `name`."""
        if not samples.size:
            return
        self._blocks.append(_block(samples))
        self._size += samples.size
        while self._size - self._blocks[0].size >= self._most:
            self._size -= self._blocks.popleft().size
        self.loudness = current = _judge(self._blocks)
        before = self.trouble
        if current.dead and self._size >= self._most:
            self.trouble = "dead"
            self.notice = f"{name}: digital silence for {WINDOW_S:g} s; is it muted, or another input the default?"
        elif current.overdriven:
            share = f"{current.clipped:.1%} of the sound is at full scale"
            self.trouble, self.notice = "overdriven", f"{name}: overdriven, {share}; turn its gain down"
        else:
            self.trouble = self.notice = None
        if self.trouble != before:
            self._log_trouble(name)

    def reset(self) -> None:
        """No sound comes any more: the microphone has been closed."""
        self._blocks.clear()
        self._size = 0
        self.loudness = self.trouble = self.notice = None

    def _log_trouble(self, name: str) -> None:
        if self.trouble is None:
            if self._warned:
                log.info("%s: sounds right again", name)
            self._warned = False
            return
        now = self._clock()
        if now - self._warned_at.get(self.trouble, float("-inf")) >= LOG_AGAIN_S:
            self._warned_at[self.trouble] = now
            self._warned = True
            log.warning("%s", self.notice)


def _block(samples: NDArray[np.int16]) -> _Block:
    peak = int(np.max(np.abs(samples.astype(np.int32))))
    energy = float(np.sum(np.square(samples, dtype=np.float64)))
    return _Block(samples.size, energy, peak, int(np.count_nonzero(at_full_scale(samples))))


def _judge(blocks: list[_Block] | deque[_Block]) -> Loudness:
    size = sum(block.size for block in blocks)
    power = sum(block.energy for block in blocks) / size / FULL_SCALE**2
    return Loudness(
        level_db=float(10 * np.log10(max(power, 1e-10))),
        peak=max(block.peak for block in blocks),
        clipped=sum(block.clipped for block in blocks) / size,
    )

"""Between PortAudio's callback and the microphone's thread: blocks of sound, and what is missing between them."""

from __future__ import annotations

import queue
import time
from collections.abc import Mapping
from dataclasses import dataclass

QUEUE_S = 5.0
"""Sound kept between the callback and read(); what does not fit is counted as lost."""
GAP_S = 0.25
"""Capture times that run this far ahead of the samples mean that samples are missing."""
SETTLE_S = 2.0
"""A sound server's capture times wander by some 0.3 s after opening."""


@dataclass(frozen=True, slots=True)
class Block:
    """What one callback brought, still at the device's rate and channels."""

    data: bytes
    captured_at: float
    lost: int


class BlockQueue:
    """The callback's side of one opening: queues blocks and counts what is missing between them."""

    def __init__(self, capacity: int, sample_rate: int, overflow_flag: int) -> None:
        self.blocks: queue.Queue[Block] = queue.Queue(capacity)
        self.closed = False
        """Sound that comes from now on is discarded."""
        self._sample_rate = sample_rate
        self._overflow_flag = overflow_flag
        self._lost = 0
        self._captured = 0
        self._lead: float | None = None
        self._captured_at = 0.0

    def on_audio(self, data: bytes, frames: int, times: Mapping[str, float], status: int) -> tuple[None, int]:
        """Take a block from PortAudio's thread; never blocks."""
        if self.closed:
            return None, 0
        missing = self._missing(frames, times["input_buffer_adc_time"])
        if status & self._overflow_flag:
            missing = max(missing, 1)
        self._lost += missing
        try:
            self.blocks.put_nowait(Block(data, self._time_of(times), self._lost))
            self._lost = 0
        except queue.Full:
            self._lost += frames
        return None, 0  # paContinue

    def _missing(self, frames: int, adc_time: float) -> int:
        """Estimate the frames lost before this block: how far its capture time leads the sample count."""
        lead = adc_time - self._captured / self._sample_rate
        self._captured += frames
        if self._lead is None or self._captured < SETTLE_S * self._sample_rate:
            self._lead = lead
            return 0
        gap_s = lead - self._lead
        if gap_s > GAP_S:
            self._lead = lead
            return round(gap_s * self._sample_rate)
        # Two clocks drift apart: follow slowly, so that only a jump is a gap.
        self._lead += 0.01 * gap_s
        return 0

    def _time_of(self, times: Mapping[str, float]) -> float:
        """Put the block on the monotonic clock; after a stall, blocks arrive in a burst but age differently."""
        age_s = times["current_time"] - times["input_buffer_adc_time"]
        if not 0 <= age_s <= QUEUE_S:  # a host API without capture times reports 0
            age_s = 0.0
        self._captured_at = max(self._captured_at, time.monotonic() - age_s)
        return self._captured_at

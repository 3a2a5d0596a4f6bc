"""Fewer frames a second while the board is nearly too hot: better than the firmware slowing everything down."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from affectd.service.board import Board, Heat

log = logging.getLogger(__name__)

LOOK_S = 5.0
STEP_DOWN_C = (4.0, 2.0)
"""Degrees below the limit at which the frame rate falls to the first and to the second step."""
SETTLE_S = 20.0
"""What a step down is given to show its effect before the next."""
STEP_UP_C = 9.0
"""With so many degrees left for RECOVER_S the frame rate rises by a step."""
RECOVER_S = 60.0
MOST_RECOVER_S = 3600.0
RELAPSE_S = 600.0
"""A board that is too hot again so soon after a step up is given twice RECOVER_S the next time, up to MOST_RECOVER_S: a
box in the sun does not swing."""
SHARES = (1.0, 0.5, 0.2)
LEAST_FPS = 2.0
"""Below, whoever is seen would seem to be gone between two frames."""


class ThermalGovernor:
    """Reads the temperature now and then, and limits the frames a second to what the board bears."""

    def __init__(self, board: Board, fps: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin at the full `fps`; `clock` counts seconds."""
        self._board = board
        self._rates = sorted({max(fps * share, min(fps, LEAST_FPS)) for share in SHARES}, reverse=True)
        self._clock = clock
        self._step = 0
        self._look_at = self._stepped_down_at = self._stepped_up_at = -math.inf
        self._cool_since: float | None = None
        self._recover_s = RECOVER_S
        self.notice: str | None = None
        """What the daemon does against the heat, in a sentence; None while it does nothing."""

    @property
    def fps_limit(self) -> float | None:
        """Frames a second to work on; None for all."""
        return self._rates[self._step] if self._step else None

    def poll(self) -> None:
        """Read the board's heat where that is due; call it every second or so."""
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_S
        heat, slowed = self._board.heat(), self._board.slowed_by_heat()
        room_c = 0.0 if slowed else math.inf if heat is None else heat.room_c
        if room_c < STEP_UP_C:
            self._cool_since = None
        elif self._cool_since is None:
            self._cool_since = now
        before = self._step
        if self._is_too_hot(room_c, now):
            self._step_down(now)
        elif self._step and self._cool_since is not None and now - self._cool_since >= self._recover_s:
            self._step -= 1
            self._stepped_up_at = self._cool_since = now
        self.notice = self._sentence(heat, slowed) if self._step else None
        if self._step > before:
            log.warning("%s", self.notice)
        elif self._step < before:
            log.info("cool enough again: %g fps", self._rates[self._step])

    def _is_too_hot(self, room_c: float, now: float) -> bool:
        if self._step == len(self._rates) - 1 or room_c > STEP_DOWN_C[self._step]:
            return False
        return self._step == 0 or now - self._stepped_down_at >= SETTLE_S

    def _step_down(self, now: float) -> None:
        too_early = now - self._stepped_up_at < max(2 * self._recover_s, RELAPSE_S)
        self._recover_s = min(2 * self._recover_s, MOST_RECOVER_S) if too_early else RECOVER_S
        self._step += 1
        self._stepped_down_at = now

    def _sentence(self, heat: Heat | None, slowed: bool) -> str:
        at = "" if heat is None else f" at {heat.temperature_c:.0f} °C"
        if slowed or heat is None:
            cause = "the firmware slows the board down"
        else:
            cause = f"from {heat.limit_c:g} °C on the board slows itself down"
        return f"throttled by affectd: {self._rates[self._step]:g} fps{at}; {cause}: give it more air"

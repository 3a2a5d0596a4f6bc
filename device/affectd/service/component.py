"""A named thread that is restarted when it fails: cameras, microphones, workers, the publisher."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from affectd.errors import AffectdError

log = logging.getLogger(__name__)

State = Literal["starting", "running", "waiting", "finished", "off", "failed"]
"""starting: its thread runs and has not made progress yet. running: it has. waiting: it failed and is
started again soon. finished: it came to its own end. off: stopped on purpose, or not started yet.
failed: it is not started again, or does not stop."""

_SENTENCES_KEPT = 100


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """How a component is at one moment."""

    name: str
    state: State
    since: float
    """When it entered the state, seconds on the monotonic clock."""
    restarts: int
    last_error: str | None
    """The sentence of its last failure, kept after it recovered."""
    last_progress: float | None
    """Its last beat, seconds on the monotonic clock; None before the first."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the n-th restart in a row, spread so that components do not march in step."""

    base_s: float = 0.5
    cap_s: float = 30.0
    steady_s: float = 10.0
    """After making progress for this long, the next failure counts as the first again."""

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row (0: after the first)."""
        longest = min(self.cap_s, self.base_s * 2.0 ** min(failures, 32))
        return random.uniform(0.5, 1.0) * longest  # noqa: S311 - jitter, not a secret


class Beat:
    """What a component calls whenever it made progress, or looked for work and found none.

    Call it from the loop that does the work, never from a timer: the watchdog believes it.
    """

    def __init__(self, on_first: Callable[[], None]) -> None:
        self._on_first = on_first
        self.last: float | None = None

    def __call__(self) -> None:
        """Say that progress was made now."""
        first = self.last is None
        self.last = time.monotonic()
        if first:
            self._on_first()


class Component:
    """Runs `run(stop, beat)` in a thread of its own until it returns or is told to stop.

    `run` opens what it needs, loops until `stop.is_set()`, beats at least every few seconds, and closes
    what it opened however it ends. It returns when it has come to its own end (a clip) or was stopped,
    and raises when it cannot go on: it is then called again after the backoff, unless `restart` is false.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[threading.Event, Beat], None],
        *,
        restart: bool = True,
        backoff: Backoff | None = None,
    ) -> None:
        """Describe the component without starting it."""
        self.name = name
        self.failure: Exception | None = None
        """What ended it for good; None while it runs or may be restarted."""
        self._run = run
        self._restart = restart
        self._backoff = backoff or Backoff()
        self._control = threading.Lock()  # start, pause and resume exclude one another
        self._lock = threading.Lock()  # guards the fields of the status
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._started = False
        self._paused = False
        self._state: State = "off"
        self._since = time.monotonic()
        self._restarts = 0
        self._last_error: str | None = None
        self._beat = Beat(self._came_up)
        self._said: set[str] = set()

    def status(self) -> ComponentStatus:
        """Tell how it is now."""
        with self._lock:
            return ComponentStatus(
                self.name,
                self._state,
                self._since,
                self._restarts,
                self._last_error,
                self._beat.last,
            )

    def start(self) -> None:
        """Start the thread, unless the component is paused."""
        with self._control:
            self._started = True
            if not self._paused:
                self._launch()

    def pause(self) -> None:
        """Tell it to stop and to stay off until `resume`; returns at once, `join` waits."""
        with self._control:
            self._paused = True
            self._stop.set()

    def resume(self) -> None:
        """Start it again after `pause`; what has finished stays finished."""
        with self._control:
            if self._paused and self._started and self.status().state != "finished":
                self._launch()
            self._paused = False

    def join(self, timeout_s: float) -> bool:
        """Wait until it has stopped; false, and failed, when it still runs after `timeout_s`."""
        thread = self._thread
        if thread is None:
            return True
        thread.join(max(0.0, timeout_s))
        if not thread.is_alive() or self.status().state == "off":
            return True
        self._fail(f"{self.name} was told to stop and has not; what it opened may still be open")
        return False

    def _launch(self) -> None:
        """Start a thread with a stop signal of its own: one that hangs must not be woken by the next start."""
        self.failure = None
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._supervise, args=(self._stop, self._thread), name=self.name, daemon=True
        )
        self._thread.start()

    def _supervise(self, stop: threading.Event, predecessor: threading.Thread | None) -> None:
        if predecessor is not None:
            predecessor.join()  # it may still hold the device, even when this thread is told to stop meanwhile
        failures = 0
        while not stop.is_set():
            began = time.monotonic()
            self._beat = Beat(self._came_up)
            self._enter("starting")
            try:
                self._run(stop, self._beat)
            except (Exception, SystemExit) as fault:
                self._report(fault)
                if not self._restart and not stop.is_set():
                    self.failure = fault if isinstance(fault, Exception) else RuntimeError(str(fault))
                    self._enter("failed")
                    return
            else:
                if not stop.is_set():
                    log.info("%s has finished", self.name)
                    self._enter("finished")
                    return
                break
            if self._beat.last is not None and self._beat.last - began >= self._backoff.steady_s:
                failures = 0
                self._said.clear()
            self._wait(stop, failures)
            failures += 1
        self._enter("off")

    def _wait(self, stop: threading.Event, failures: int) -> None:
        if stop.is_set():
            return
        with self._lock:
            self._restarts += 1
        self._enter("waiting")
        stop.wait(self._backoff.delay(failures))

    def _report(self, fault: BaseException) -> None:
        """Say it once per distinct sentence; the traceback of what nobody foresaw goes to the debug log."""
        sentence = str(fault) if isinstance(fault, AffectdError) else f"unexpected {type(fault).__name__}: {fault}"
        with self._lock:
            self._last_error = sentence
        if not isinstance(fault, AffectdError):
            log.debug("%s ended with", self.name, exc_info=fault)
        if sentence not in self._said:
            if len(self._said) >= _SENTENCES_KEPT:
                self._said.clear()
            self._said.add(sentence)
            log.error("%s: %s", self.name, sentence)

    def _came_up(self) -> None:
        with self._lock:
            recovered = self._restarts > 0
        self._enter("running")
        if recovered:
            log.info("%s runs again", self.name)

    def _fail(self, sentence: str) -> None:
        with self._lock:
            said = self._state == "failed" and self._last_error == sentence
            self._last_error = sentence
        if not said:
            log.error("%s", sentence)
        self._enter("failed")

    def _enter(self, state: State) -> None:
        with self._lock:
            if state != self._state:
                self._state = state
                self._since = time.monotonic()

"""A named thread that is restarted when it fails and replaced when it hangs: cameras, microphones, workers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from affectd.backoff import Backoff
from affectd.errors import AffectdError
from affectd.service.component_status import ComponentStatus, State, naming

log = logging.getLogger(__name__)

STUCK_MOST = 3
"""Threads of one component that are left behind while they hang; with one more it has failed."""
RESTART = Backoff(first_s=0.5, longest_s=30.0, jitter=0.5)
STEADY_S = 10.0
"""After making progress for this long, the next failure counts as the first again."""
_SENTENCES_KEPT = 100


class Beat:
    """What a component calls whenever it made progress, or looked for work and found none.

    Call it from the loop that does the work, never from a timer: the watchdog believes it.
    """

    def __init__(self, on_first: Callable[[], None]) -> None:
        self._on_first = on_first
        self.last: float | None = None

    def __call__(self) -> None:
        """Report that progress was made now."""
        first = self.last is None
        self.last = time.monotonic()
        if first:
            self._on_first()


class Component:
    """Runs `run(stop, beat)` in a thread of its own until it returns or is told to stop.

    `run` opens what it needs, loops until `stop.is_set()`, beats at least every few seconds, and closes
    what it opened however it ends. It returns when it has come to its own end (a clip) or was stopped,
    and raises when it cannot go on: it is then called again after the backoff, unless `restart` is false.

    With a `deadline_s`, one that did not beat for so long is called again in another thread while the first
    still hangs in it: such a `run` must not share what it works with among its calls (see `Pool`).
    """

    def __init__(
        self,
        name: str,
        run: Callable[[threading.Event, Beat], None],
        *,
        restart: bool = True,
        backoff: Backoff = RESTART,
        steady_s: float = STEADY_S,
        deadline_s: float | None = None,
    ) -> None:
        """Describe the component without starting it."""
        self.name = name
        self.failure: Exception | None = None
        """What ended it for good; None while it runs or may be restarted."""
        self._run = run
        self._restart = restart
        self._backoff, self._steady_s = backoff, steady_s
        self._deadline_s = deadline_s
        self._control = threading.Lock()  # start, pause, resume and replacing exclude one another
        self._lock = threading.Lock()  # guards the fields of the status
        self._thread: threading.Thread | None = None
        self._left_behind: list[threading.Thread] = []
        self._stop = threading.Event()
        self._started = False
        self._paused = False
        self._state: State = "off"
        self._since = time.monotonic()
        self._started_at = self._since
        self._failures = 0  # in a row
        self._restarts = 0
        self._last_error: str | None = None
        self._beat = Beat(lambda: None)
        self._logged: set[str] = set()

    def status(self) -> ComponentStatus:
        """Report how it is now."""
        with self._lock:
            return ComponentStatus(
                self.name,
                self._state,
                self._since,
                self._restarts,
                self._last_error,
                self._beat.last,
                self._started_at,
                self._deadline_s,
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
        """Wait until all its threads have ended; false, and failed, when one still runs after `timeout_s`."""
        end = time.monotonic() + timeout_s
        threads = [*self._left_behind, *([] if self._thread is None else [self._thread])]
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            self._fail(f"{self.name} was told to stop and has not; what it opened may still be open")
            return False
        if self.failure is None and self.status().state == "failed":  # it took longer than the last time
            self._enter("off", self._stop)
        return True

    def replace_if_stuck(self, now: float) -> None:
        """Leave its thread behind and start another when it made no progress within its deadline."""
        with self._control:
            status = self.status()
            if self._deadline_s is None or self._stop.is_set() or status.state not in {"starting", "running", "failed"}:
                return
            if now - status.last_sign <= self._deadline_s:
                if status.state == "failed":  # it hung, and goes on by itself
                    self._enter("running", self._stop)
                return
            self._left_behind = [thread for thread in self._left_behind if thread.is_alive()]
            if len(self._left_behind) == STUCK_MOST:
                self._fail(f"{self.name} hangs again and again: {STUCK_MOST + 1} threads of it do not come back")
                return
            self._replace(self._deadline_s)

    def _replace(self, deadline_s: float) -> None:
        if self._thread is not None and self._thread not in self._left_behind:
            self._left_behind.append(self._thread)
        self._stop.set()  # should it come back, it ends
        stop = threading.Event()
        with self._lock:
            self._stop = stop
        self._report(
            AffectdError(f"no sign of life for {deadline_s:g} s, replaced; does its device or name server hang?"), stop
        )
        self._enter("waiting", stop)
        try:
            self._start_thread(stop, None, wait_first=True)
        except (RuntimeError, MemoryError) as fault:
            self._fail(f"{self.name} cannot be replaced yet: {fault or 'not enough memory'}")

    def _launch(self) -> None:
        """Start a thread with a stop signal of its own: one that hangs must not be woken by the next start."""
        self.failure = None
        self._failures = 0
        stop = threading.Event()
        with self._lock:
            self._stop = stop
        self._start_thread(stop, self._thread, wait_first=False)

    def _start_thread(self, stop: threading.Event, predecessor: threading.Thread | None, *, wait_first: bool) -> None:
        arguments = (stop, predecessor, wait_first)
        thread = threading.Thread(target=self._supervise, args=arguments, name=self.name, daemon=True)
        thread.start()
        self._thread = thread

    def _supervise(self, stop: threading.Event, predecessor: threading.Thread | None, wait_first: bool) -> None:
        """Call `run` until it ends by itself or `stop` is set; once left behind, it changes nothing any more."""
        if predecessor is not None:
            predecessor.join()  # it may still hold the device, even when this thread is told to stop meanwhile
        if wait_first:
            self._wait(stop)
        while not stop.is_set():
            beat = Beat(lambda: self._came_up(stop))
            began = self._begin(stop, beat)
            try:
                self._run(stop, beat)
            except (Exception, SystemExit) as fault:
                self._report(fault, stop)
                if not self._restart and not stop.is_set():
                    self.failure = fault if isinstance(fault, Exception) else RuntimeError(str(fault))
                    self._enter("failed", stop)
                    return
            else:
                if not stop.is_set():
                    log.info("%s has finished", self.name)
                    self._enter("finished", stop)
                    return
            if stop.is_set():
                break
            if beat.last is not None and beat.last - began >= self._steady_s:
                self._failures = 0
                self._logged.clear()
            self._wait(stop)
        self._enter("off", stop)

    def _begin(self, stop: threading.Event, beat: Beat) -> float:
        began = time.monotonic()
        with self._lock:
            if stop is self._stop:
                self._beat, self._started_at = beat, began
        self._enter("starting", stop)
        return began

    def _wait(self, stop: threading.Event) -> None:
        with self._lock:
            self._restarts += 1
        self._enter("waiting", stop)
        self._failures += 1
        stop.wait(self._backoff.delay_s(self._failures))

    def _report(self, fault: BaseException, stop: threading.Event) -> None:
        """Log it once per distinct sentence; the traceback of what nobody foresaw goes to the debug log."""
        sentence = str(fault) if isinstance(fault, AffectdError) else f"unexpected {type(fault).__name__}: {fault}"
        with self._lock:
            if stop is not self._stop:
                return
            self._last_error = sentence
        if not isinstance(fault, AffectdError):
            log.debug("%s ended with", self.name, exc_info=fault)
        if sentence not in self._logged:
            if len(self._logged) >= _SENTENCES_KEPT:
                self._logged.clear()
            self._logged.add(sentence)
            log.error("%s", naming(self.name, sentence))

    def _came_up(self, stop: threading.Event) -> None:
        with self._lock:
            recovered = self._restarts > 0 and stop is self._stop
        self._enter("running", stop)
        if recovered:
            log.info("%s runs again", self.name)

    def _fail(self, sentence: str) -> None:
        with self._lock:
            logged = self._state == "failed" and self._last_error == sentence
            self._last_error = sentence
        if not logged:
            log.error("%s", sentence)
        self._enter("failed", self._stop)

    def _enter(self, state: State, stop: threading.Event) -> None:
        """Change the state, unless the thread with this stop signal has been left behind."""
        with self._lock:
            if stop is not self._stop or state == self._state:
                return
            if not {state, self._state} <= {"starting", "waiting"}:
                self._since = time.monotonic()
            self._state = state

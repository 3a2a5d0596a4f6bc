"""Calls into a driver that may hang: one after the other on a thread of its own, so that the caller need not wait."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class DriverThread:
    """Makes calls in the order in which they were posted; one that hangs holds up the later ones and nobody else.

    For drivers that must not be called from two threads at once. The thread begins with the first call, and
    does not keep the process from ending.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def post(self, call: Callable[[], T]) -> Future[T]:
        """Have the call made once those before it came back; `result(timeout)` waits for it, `cancel` withdraws it."""
        future: Future[T] = Future()
        self._calls.put((future, call))
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
        return future

    def _work(self) -> None:
        while True:
            future, call = self._calls.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as fault:
                    future.set_exception(fault)
            del future, call  # what they hold must not live until the next call

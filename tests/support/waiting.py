"""Waiting for what real threads and processes do, with a deadline."""

import time
from collections.abc import Callable

DEADLINE_S = 60.0
"""Long, for the machine may be busy; only a test that fails waits for so long."""


def until(condition: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
    """Wait until the condition holds; an AssertionError after `deadline_s`."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.005)

"""Waiting for what real threads and processes do, with a deadline."""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], deadline_s: float = 10.0) -> None:
    """Wait until the condition holds; an AssertionError after `deadline_s`."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.005)

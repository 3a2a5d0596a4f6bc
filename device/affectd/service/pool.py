"""A pool of what a component works with, one for each of its threads: one that hangs keeps its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from affectd.service.component import Beat

Part = TypeVar("Part")


class Pool(Generic[Part]):
    """A device or a reader that one thread uses at a time; `make` builds another while all are in use."""

    def __init__(self, first: Part, make: Callable[[], Part]) -> None:
        self._free = [first]
        self._make = make

    @classmethod
    def of(cls, make: Callable[[], Part | None]) -> Pool[Part] | None:
        """Make the first; None where there is none, and then there never is."""
        first = make()
        return None if first is None else cls(first, cast(Callable[[], Part], make))

    def lend(self, run: Callable[[Part, threading.Event, Beat], None]) -> Callable[[threading.Event, Beat], None]:
        """Return a component's `run` that has a part for itself for as long as it lasts. Raises what `make` does."""

        def run_with_part(stop: threading.Event, beat: Beat) -> None:
            try:
                part = self._free.pop()
            except IndexError:
                part = self._make()
            try:
                run(part, stop, beat)
            finally:
                self._free.append(part)

        return run_with_part

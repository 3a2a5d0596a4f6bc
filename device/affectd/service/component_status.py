"""How a supervised part is: what health, the service manager and the supervisor judge it by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

State = Literal["starting", "running", "waiting", "finished", "off", "failed"]
"""starting: its thread runs and has not made progress yet. running: it has. waiting: it failed and is
started again soon. finished: it came to its own end. off: stopped on purpose, or not started yet.
failed: it is not started again, or does not stop, or hangs again and again."""


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """How a component is at one moment."""

    name: str
    state: State
    since: float
    """When it entered the state, seconds on the monotonic clock; while it tries again and again (starting,
    waiting): since when it has not worked."""
    restarts: int
    last_error: str | None
    """The sentence of its last failure, kept after it recovered."""
    last_progress: float | None
    """Its last beat, seconds on the monotonic clock; None before the first of its present start."""
    started_at: float = 0.0
    """When it was last started, seconds on the monotonic clock."""
    deadline_s: float | None = None
    """Without a beat for this long it is replaced; None: that is the service manager's matter."""

    @property
    def trouble(self) -> str | None:
        """What is wrong, in a sentence that names the component; None while it does not fail."""
        return naming(self.name, self.last_error or "has failed") if self.failing else None

    @property
    def last_sign(self) -> float:
        """When it was last started or made progress."""
        return max(self.started_at, self.last_progress or 0.0)

    @property
    def failing(self) -> bool:
        """Whether it has failed and does not work again yet, also while it is being tried again."""
        return self.state in {"waiting", "failed"} or (self.state == "starting" and self.started_at > self.since)


def naming(component: str, sentence: str) -> str:
    """Return the sentence, led by the component's name where its beginning does not name it already."""
    named = re.search(rf"\b{component}\b", sentence.partition(": ")[0])
    return sentence if named else f"{component}: {sentence}"

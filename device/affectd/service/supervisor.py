"""All components together: start, stop within a deadline, pause and resume some, replace what hangs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from affectd.service.component import Component
from affectd.service.component_status import ComponentStatus


class Supervisor:
    """Starts and stops components in the order given: upstream first, so that the end of one drains the next."""

    def __init__(self, components: Sequence[Component]) -> None:
        self._components = {component.name: component for component in components}
        if len(self._components) != len(components):
            raise ValueError("two components share a name")

    def start(self) -> None:
        """Start every component that is not paused."""
        for component in self._components.values():
            component.start()

    def stop(self, deadline_s: float) -> list[str]:
        """Stop one after the other, each given its share of what is left; return the names that still run."""
        end = time.monotonic() + deadline_s
        hanging = []
        components = list(self._components.values())
        for index, component in enumerate(components):
            component.pause()
            share = (end - time.monotonic()) / (len(components) - index)
            if not component.join(share):
                hanging.append(component.name)
        return hanging

    def replace_stuck(self, now: float) -> None:
        """Replace every component that is past its deadline; call it every second or so."""
        for component in self._components.values():
            component.replace_if_stuck(now)

    def pause(self, names: Iterable[str], deadline_s: float) -> list[str]:
        """Stop these at once and keep them off; return the names that still run after the deadline."""
        end = time.monotonic() + deadline_s
        chosen = [self._components[name] for name in names]
        for component in chosen:
            component.pause()
        return [component.name for component in chosen if not component.join(end - time.monotonic())]

    def resume(self, names: Iterable[str]) -> None:
        """Let these run again."""
        for name in names:
            self._components[name].resume()

    def statuses(self) -> list[ComponentStatus]:
        """Report how each is, in the order given."""
        return [component.status() for component in self._components.values()]

    @property
    def failure(self) -> Exception | None:
        """What ended a component for good; None while all run or may be restarted."""
        return next((c.failure for c in self._components.values() if c.failure is not None), None)

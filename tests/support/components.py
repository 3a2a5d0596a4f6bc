"""Components for tests: restarted quickly, or doing nothing but beat."""

from __future__ import annotations

from affectd.backoff import Backoff

QUICK = Backoff(0.01, 0.05, jitter=0.5)


def working(stop, beat):
    while not stop.is_set():
        beat()
        stop.wait(0.01)


def state_of(component):
    return component.status().state

"""Components for tests: restarted quickly, or doing nothing but beat."""

from __future__ import annotations

from affectd.service.component import Backoff

QUICK = Backoff(base_s=0.01, cap_s=0.05, steady_s=0.2)


def working(stop, beat):
    while not stop.is_set():
        beat()
        stop.wait(0.01)


def state_of(component):
    return component.status().state

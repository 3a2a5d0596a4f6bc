"""Supervisors that end with their test, and what a component hangs in until then."""

import threading

import pytest

from affectd.service.supervisor import Supervisor


@pytest.fixture
def supervise():
    """Make supervisors that are stopped when the test ends."""
    made = []

    def make(*components):
        made.append(Supervisor(components))
        return made[-1]

    yield make
    for supervisor in made:
        supervisor.stop(2.0)


@pytest.fixture
def hang():
    """An event that lets a hanging component go at the end of the test."""
    release = threading.Event()
    yield release
    release.set()

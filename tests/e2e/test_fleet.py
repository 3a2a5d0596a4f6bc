"""What the broker of systemd/mosquitto owes a subscriber that is away, from many boxes that come back at once.

scripts/prove-fleet does the same with hundreds of boxes.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from support.example_broker import ExampleBroker
from support.fleet import Fleet, Published, Subscriber, names
from support.waiting import until

BOXES, STORED = 20, 60
MOSQUITTOS_OWN = 1000
"""Events that mosquitto keeps for one subscriber unless it is told otherwise."""


def backlog(
    folder: Path, *, kept: int, queue: str | None = None, power_cut: bool = True
) -> tuple[Published, Subscriber]:
    """Let boxes come back while the subscriber is away; cut the broker's power once it has saved; fetch the rest.

    At least `kept` events are waited for.
    """
    (folder / "boxes").mkdir()
    (folder / "broker").mkdir()
    with ExampleBroker(folder / "broker", [*names(BOXES), "viewer"], queue=queue) as broker:
        subscriber = Subscriber(broker)
        subscriber.come()
        subscriber.leave()
        with Fleet(broker, folder / "boxes", boxes=BOXES, stored=STORED) as fleet:
            fleet.connect()
            fleet.drain(60)
            published = fleet.end()
        if power_cut:
            drained, database = time.time(), folder / "broker" / "mosquitto.db"
            until(lambda: database.exists() and database.stat().st_mtime > drained, 30)
            broker.kill()
            broker.start()
        subscriber.come()
        until(lambda: len(subscriber.times) >= kept, 60)
        subscriber.wait_until_still()
        subscriber.leave()
    assert len(published.acknowledged) == BOXES * STORED > MOSQUITTOS_OWN
    assert (published.dropped, published.waiting) == (0, 0)
    return published, subscriber


def test_a_subscriber_that_was_away_gets_every_event_over_a_power_cut_of_the_broker(tmp_path: Path) -> None:
    published, subscriber = backlog(tmp_path, kept=BOXES * STORED)
    assert set(subscriber.times) == set(published.acknowledged)


def test_mosquittos_own_bound_would_lose_what_it_has_acknowledged(tmp_path: Path) -> None:
    """That the test above can fail: so did the example before."""
    old = "autosave_interval 1\nautosave_on_changes true\n"
    published, subscriber = backlog(tmp_path, kept=MOSQUITTOS_OWN, queue=old, power_cut=False)
    assert len(published.acknowledged) - len(subscriber.times) == pytest.approx(BOXES * STORED - MOSQUITTOS_OWN, abs=40)

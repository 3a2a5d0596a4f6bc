"""Two hundred times `kill -9` at a random moment: no event is lost, none comes under two ids, none out of order."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from support.broker import Listener, Message, Mosquitto
from support.fault_table import FaultTable
from support.forked_publisher import Nursery
from support.publishing import TOPICS

KILLS = 200
SEED = int(os.environ.get("KILL_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)


def stage(steps: list[str]) -> str:
    """Name how far a publisher came, from the steps that it noted."""
    if "connected" in steps:
        return "connected"
    if len(steps) > 1:
        return "event stored"
    return "outbox opened" if steps else "nothing opened"


def arrived(messages: list[Message]) -> list[tuple[int, str, bytes]]:
    return [(message.json["seq"], message.json["id"], message.payload) for message in messages]


@pytest.mark.timeout(180)
def test_two_hundred_kills_at_random_points_cost_no_event(
    broker: Mosquitto, tmp_path: Path, fault_table: FaultTable
) -> None:
    print(f"KILL_SEED={SEED}")
    chance = random.Random(SEED)
    stored: list[int] = []
    stages: Counter[str] = Counter()
    with Listener(broker, TOPICS.event) as listener, Nursery(broker.port, tmp_path) as nursery:
        # Half of them before they have a connection, however quick the machine is.
        longest_s = 2 * sorted(nursery.seconds_to_connect() for _ in range(5))[2]
        for _ in range(KILLS):
            steps = nursery.kill_one_after(chance.uniform(0.0, longest_s))
            stages[stage(steps)] += 1
            stored += [int(step) for step in steps if step.isdecimal()]
        began = time.monotonic()
        last = max(int(step) for step in nursery.drain() if step.isdecimal())
        events = arrived(listener.wait_for(lambda messages: messages and messages[-1].json["seq"] == last))
        drained_s = time.monotonic() - began
    print(f"{last} events, {len(events)} arrivals, killed at: {dict(stages)}; the rest sent in {drained_s:.1f} s")
    # What `publish_event` had given a number was on disk: each number was given once, and rises.
    assert stored == sorted(set(stored))
    # Every number arrived; first copies in order.
    assert list(dict.fromkeys(seq for seq, _, _ in events)) == list(range(1, last + 1))
    # A copy is the same event under the same id.
    assert len({event_id for _, event_id, _ in events}) == len(set(events)) == last
    # The kills struck where something was at stake, on a busy machine too.
    assert len(stored) >= KILLS // 10
    assert stages["connected"] >= KILLS // 40
    assert len(stages) >= 3, stages
    fault_table.record(
        f"kill -9 at {KILLS} random points, 0 to {longest_s * 1000:.0f} ms after the start",
        recovered_s=drained_s,
        lost=last - len({seq for seq, _, _ in events}),
        repeated=len(events) - last,
        remark=f"of {last} events; back: the start after the last kill until all that waited was sent",
    )

"""Measure how long the newest event waits behind a backlog: `scripts/measure-replay` makes the environment for it."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from affectd.config import OutboxConfig
from support.broker import Listener, Mosquitto
from support.proxy import Proxy
from support.publishing import OUTBOX, TOPICS, running, seqs, store_events

BROKER = "max_queued_messages 0\nautosave_on_changes false\nautosave_interval 60\n"


def main() -> None:
    """Print one line for each number of events that waited."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("waited", type=int, nargs="*", default=[1500, 49_000], help="events in the outbox")
    parser.add_argument("--delay-s", type=float, default=0.0, help="of the network, each way")
    parser.add_argument("--replay-per-s", type=float, default=OutboxConfig().replay_per_s, help="outbox.replay_per_s")
    options = parser.parse_args()
    for waited in options.waited:
        with tempfile.TemporaryDirectory() as folder:
            took_s, lost = measure(Path(folder), waited, options.delay_s, options.replay_per_s)
        print(f"{waited} waited: the newest was through after {took_s:.1f} s, {lost} lost", flush=True)


def measure(folder: Path, waited: int, delay_s: float, per_s: float) -> tuple[float, int]:
    """Measure the seconds until an event arrived that was made behind `waited` others, and how many did not arrive."""
    store_events(folder / OUTBOX, waited)
    with (
        Mosquitto(folder, more=BROKER) as broker,
        Proxy(broker.port, delay_s=delay_s) as network,
        Listener(broker, TOPICS.event) as listener,
        running(network.port if delay_s else broker.port, folder, replay_per_s=per_s) as box,
    ):
        began = time.monotonic()
        box.publish_events(1)
        while box.outbox.depth:
            time.sleep(0.01)
        took_s = time.monotonic() - began
        listener.wait_for(lambda messages: messages[-1].json["seq"] == waited + 1)
        return took_s, waited + 1 - len(set(seqs(listener.messages)))


if __name__ == "__main__":
    main()

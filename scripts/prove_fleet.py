"""Hundreds of boxes at one broker, with its shipped settings and with those before: called by scripts/prove-fleet."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support.example_broker import ExampleBroker
from support.fleet import Fleet, Published, Subscriber, names

BEFORE = "autosave_interval 1\nautosave_on_changes true\n"
"""What the example said before: mosquitto's own bound of 1000 messages, and a save at every change."""
UNSAVED_S = 8.0
"""autosave_interval, the second by which mosquitto exceeds it, and the time to save."""
DRAIN_S = 240.0


def main() -> int:
    """Try both settings; give 0 when the shipped ones lose nothing but what a power cut of the broker may cost."""
    parser = argparse.ArgumentParser(prog="scripts/prove-fleet", description=__doc__)
    parser.add_argument("--boxes", type=int, default=300)
    parser.add_argument("--stored", type=int, default=100, metavar="N", help="events of each box from the time before")
    parser.add_argument("--every", type=float, default=5.0, metavar="S", help="seconds between two events of a box")
    options = parser.parse_args()
    print(f"{options.boxes} boxes, each with {options.stored} events stored and another every {options.every:g} s")
    mosquitto = subprocess.run(["mosquitto", "-h"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
    print(f"{mosquitto}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    needless = {}
    for title, queue in (("systemd/mosquitto as it is", None), ("with mosquitto's own bound, as it was", BEFORE)):
        print(f"\n== {title}", flush=True)
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            trial = Trial(Path(folder), options, queue)
            needless[queue] = trial.run()
    print("\nproved" if needless[None] == 0 < needless[BEFORE] else "\nnot proved")
    return 0 if needless[None] == 0 < needless[BEFORE] else 1


class Trial:
    """One broker, one fleet, one subscriber, from the first connection to the account."""

    def __init__(self, folder: Path, options: argparse.Namespace, queue: str | None) -> None:
        """Start the broker, and the boxes with what they have stored."""
        for name in ("broker", "boxes"):
            (folder / name).mkdir()
        self.broker = ExampleBroker(folder / "broker", [*names(options.boxes), "viewer"], queue=queue)
        self.broker.start()
        self.subscriber = Subscriber(self.broker)
        self.fleet = Fleet(
            self.broker, folder / "boxes", boxes=options.boxes, stored=options.stored, every_s=options.every
        )
        self.cuts: list[float] = []
        """When the broker's power was cut, monotonic seconds."""

    def run(self) -> int:
        """Go through it all; give how many events were lost that no power cut explains."""
        try:
            return self._run()
        finally:
            self.fleet.__exit__()
            self.broker.kill()

    def _run(self) -> int:
        fleet, subscriber = self.fleet, self.subscriber
        subscriber.come()
        subscriber.leave()
        with Written(self.broker, "all boxes come back at once, the subscriber is away"):
            fleet.connect()
            print(f"all stored events acknowledged after {fleet.drain(DRAIN_S):.1f} s")
        with Written(self.broker, "live events, the subscriber is away still"):
            fleet.live()
            time.sleep(15)
        self._cut(outage_s=10)
        print(f"all that waited acknowledged {self._drained_live():.1f} s after the broker was back")
        with Written(self.broker, "the subscriber is back"):
            self._fetch()
        with Written(self.broker, "live events, the subscriber is there"):
            subscriber.latencies_ms.clear()
            fleet.live()
            time.sleep(30)
        self._tell_latency()
        self._cut(outage_s=10)
        print(f"all that waited acknowledged {self._drained_live():.1f} s after the broker was back")
        self._fetch()
        subscriber.leave()
        return self._account(fleet.end())

    def _cut(self, outage_s: float) -> None:
        """Cut the power of the broker, boxes go on; give it back later."""
        self.cuts.append(time.monotonic())
        self.broker.kill()
        time.sleep(outage_s)
        began = time.monotonic()
        self.broker.start()
        print(f"kill -9 of the broker, {outage_s:g} s of outage; it took {time.monotonic() - began:.1f} s to start")

    def _drained_live(self) -> float:
        """Let nothing new happen, so that a moment comes when nothing waits."""
        self.fleet.quiet()
        return self.fleet.drain(DRAIN_S)

    def _fetch(self) -> None:
        """Let the subscriber come if it is away, and take all that the broker owes it."""
        before = sum(self.subscriber.times.values())
        if not self.subscriber.connected:
            self.subscriber.come()
        took = self.subscriber.wait_until_still()
        count = sum(self.subscriber.times.values()) - before
        print(f"the subscriber takes {count} messages in {took:.1f} s ({count / max(took, 0.1):.0f} a second)")

    def _tell_latency(self) -> None:
        taken = sorted(self.subscriber.latencies_ms)
        p95, longest = taken[int(len(taken) * 0.95)], taken[-1]
        print(
            f"from capture to subscriber: {statistics.median(taken):.0f} ms median, {p95:.0f} ms p95, {longest:.0f} ms "
            f"at most, of {len(taken)} events"
        )

    def _account(self, published: Published) -> int:
        """Report where every event is; return how many are lost for no good reason."""
        lost = {seq: at for seq, at in published.acknowledged.items() if seq not in self.subscriber.times}
        owed = [seq for seq, at in lost.items() if any(cut - UNSAVED_S <= at <= cut for cut in self.cuts)]
        repeated = sum(self.subscriber.times.values()) - len(self.subscriber.times)
        print(f"\nevents {len(published.acknowledged)}; received {len(self.subscriber.times)}, repeated {repeated}")
        print(f"dropped by the boxes {published.dropped}, still waiting in them {published.waiting}")
        print(f"lost: {len(lost)}, {len(owed)} of them acknowledged in the last {UNSAVED_S:g} s before a power cut")
        return len(lost) - len(owed) + published.dropped + published.waiting


class Written:
    """Tells what the broker wrote to its disk while entered, and how much memory it took."""

    def __init__(self, broker: ExampleBroker, what: str) -> None:
        """Name the phase."""
        self._process, self._what = Path("/proc") / str(broker.pid), what

    def __enter__(self) -> None:
        self._began, self._before = time.monotonic(), self._bytes()

    def __exit__(self, *_: object) -> None:
        seconds, written = time.monotonic() - self._began, self._bytes() - self._before
        rss = int((self._process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        print(
            f"  {self._what}, {seconds:.0f} s: the broker writes {written / 1e6:.0f} MB, {written / seconds / 1e6:.1f} "
            f"MB/s; it has {rss / 1e6:.0f} MB of memory",
            flush=True,
        )

    def _bytes(self) -> int:
        fields = dict(line.split(": ") for line in (self._process / "io").read_text().splitlines())
        return int(fields["write_bytes"])


if __name__ == "__main__":
    sys.exit(main())

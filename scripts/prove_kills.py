"""Kill the whole daemon again and again at random moments, and count what arrived: called by scripts/prove-kills."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from e2e.program import DEVICE, RESTLESS, Affectd, blinking_person
from support.broker import Listener, Message, Mosquitto

EVENT = f"affectd/{DEVICE}/event"
AVAILABILITY = f"affectd/{DEVICE}/availability"


def main() -> int:
    """Kill, count, say what came of it; give the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/prove-kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--longest", type=float, default=3.0, metavar="S", help="online for 0..S seconds")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 10**9))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.kills} kills: a fifth while it starts, the others online for up to", end=" ")
    print(f"{options.longest:g} s")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name)) as broker:
        folder = Path(name)
        clip = blinking_person(folder / "blinking.mp4")
        daemon = Affectd(folder, broker, camera={"source": str(clip)}, clip={"loop": True}, **RESTLESS)
        with Listener(broker, EVENT, AVAILABILITY) as listener:
            struck = Counter[str]()
            start_s = _online(daemon, listener)
            daemon.kill()
            for _ in range(options.kills):
                if chance.random() < 0.2:
                    struck[_kill_while_starting(daemon, listener, chance.uniform(0, start_s))] += 1
                else:
                    start_s = _online(daemon, listener)
                    struck[_kill_after(daemon, listener, chance.uniform(0, options.longest))] += 1
            recovered_s = _drain(daemon, listener)
            messages = listener.messages
        if "Traceback" in daemon.log:
            print(daemon.log)
            return 1
    return _judge([message for message in messages if message.topic == EVENT], struck, recovered_s)


def _online(daemon: Affectd, listener: Listener) -> float:
    """Start it and wait until it is online; give how long that took."""
    seen, began = len(listener.messages), time.monotonic()
    daemon.start()
    listener.wait_for(lambda messages: any(message.payload == b"online" for message in messages[seen:]), 60)
    return time.monotonic() - began


def _kill_while_starting(daemon: Affectd, listener: Listener, life_s: float) -> str:
    seen = len(listener.messages)
    daemon.start()
    _kill_after(daemon, listener, life_s)
    online = any(message.payload == b"online" for message in listener.messages[seen:])
    return "just online" if online else "starting"


def _kill_after(daemon: Affectd, listener: Listener, life_s: float) -> str:
    """Kill it after so long; tell whether it had published an event meanwhile."""
    seen = len(listener.messages)
    time.sleep(life_s)
    if not daemon.runs:
        sys.exit(f"prove-kills: the daemon had ended before it was killed; its log:\n{daemon.log}")
    daemon.kill()
    return "publishing" if any(m.topic == EVENT for m in listener.messages[seen:]) else "online"


def _drain(daemon: Affectd, listener: Listener) -> float:
    """Let it run until nothing waits, end it in order; give how long it took to be online again."""
    seen = len(listener.messages)
    recovered_s = _online(daemon, listener)
    listener.wait_for(lambda messages: sum(message.topic == EVENT for message in messages[seen:]) >= 4, 60)
    daemon.send(signal.SIGTERM)
    if daemon.wait() != 0:
        sys.exit(f"prove-kills: the daemon did not end in order; its log:\n{daemon.log}")
    listener.wait_for(lambda messages: messages[-1].payload == b"offline")
    return recovered_s


def _judge(events: list[Message], struck: Counter[str], recovered_s: float) -> int:
    """Say what arrived, and give 0 when it is as it must be."""
    seqs = [event.json["seq"] for event in events]
    first_copies = list(dict.fromkeys(seqs))
    last = max(seqs)
    lost = sorted(set(range(1, last + 1)) - set(seqs))
    ids = {event.json["id"] for event in events}
    same = len(ids) == len(set(first_copies)) == len({event.payload for event in events})
    print("killed while " + ", ".join(f"{when}: {times} times" for when, times in sorted(struck.items())))
    print(f"started again and online after {recovered_s:.1f} s")
    print(f"events {last}, lost {len(lost)} {lost[:20] or ''}, repeated {len(events) - last}")
    print(f"first copies in order: {first_copies == sorted(first_copies)}; copies of one event are the same: {same}")
    return 0 if not lost and same and first_copies == sorted(first_copies) else 1


if __name__ == "__main__":
    sys.exit(main())

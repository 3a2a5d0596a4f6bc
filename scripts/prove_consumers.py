"""The examples on a real Node-RED and with shared subscriptions: called by scripts/prove-consumers."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from affectd.publish.schema_bundle import message_schema
from e2e.program import RESTLESS, Affectd
from support.broker import Listener, Mosquitto
from support.example_broker import ExampleBroker, password_of
from support.fleet import Fleet, names
from support.media import write_clip
from support.scenes import scene
from support.waiting import until

EXAMPLES = Path(__file__).parents[1] / "device" / "examples"
SETTINGS = "module.exports = {httpAdminRoot: false, httpNodeRoot: false, telemetry: {enabled: false}};\n"
(STATE, NOBODY) = message_schema("state")["examples"]
BOXES, STORED = 20, 300


def main() -> int:
    """Try both; return 0 when all was as it should be."""
    node_red = Path(sys.argv[1])
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        try_flow(node_red, Path(folder))
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        try_shared(Path(folder))
    print("\nproved")
    return 0


class NodeRed:
    """Node-RED with the example's flow, on this broker; its output is kept, and printed without its time stamps."""

    def __init__(self, program: Path, folder: Path, broker: Mosquitto) -> None:
        flow = json.loads((EXAMPLES / "node-red-flow.json").read_text())
        for node in flow:
            if node["type"] == "mqtt-broker":
                assert (node["broker"], node["port"]) == ("localhost", "1883")
                node["port"] = str(broker.port)
        (folder / "flows.json").write_text(json.dumps(flow))
        (folder / "settings.js").write_text(SETTINGS)
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [str(program), "--userDir", str(folder), "flows.json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> NodeRed:
        self.wait(r"Connected to broker")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)

    def wait(self, *patterns: str) -> str:
        """Wait for output with all these patterns, whatever their order; return the output, and forget it."""
        until(lambda: all(re.search(pattern, self._output) for pattern in patterns))
        output = self._output
        del self.lines[: output.count("\n") + 1]
        return output

    @property
    def _output(self) -> str:
        return "\n".join(self.lines)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            text = re.sub(r"^\d+ \w+ [\d:]+ - ", "", line.rstrip())
            self.lines.append(text)
            if re.match(r"\[(warn|error)\]|Node-RED version|.*(reason|device|emotion|person):|.*broker", text):
                print(f"  {text}", flush=True)


def say(title: str) -> None:
    """Print what is done now."""
    print(f"\n== {title}", flush=True)


def shown(reason: str, box: str = "box") -> str:
    """Return the pattern of what the debug node prints."""
    return rf"device: '{box}',\s+reason: '{reason}'"


def try_flow(program: Path, folder: Path) -> None:
    """Show what Node-RED's debug node prints while a box, then the broker, goes and comes."""
    for name in ("node-red", "broker"):
        (folder / name).mkdir()
    clip = write_clip(folder / "clip.mp4", frames=[scene()] * 30 + [scene((320, 220, 170))] * 30, fps=10)
    settings = {**RESTLESS, "camera": {"source": str(clip)}, "clip": {"loop": True}, "microphone": {"source": "off"}}
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.splitlines()
    say(f"node-red-flow.json in {' '.join(version[:2])}, with affectd on a clip")
    with Mosquitto(folder / "broker") as broker, NodeRed(program, folder / "node-red", broker) as flow:
        with Affectd(folder / "box", broker, **settings) as daemon:
            for reason in ("nobody", "shown", "nobody"):
                flow.wait(shown(reason))
            say("kill -9 of affectd")
            daemon.kill()
            flow.wait(shown("offline"))
            say("affectd again: the state that was retained is not believed")
            daemon.start()
            flow.wait(shown("(starting|nobody)"))
            flow.wait(shown("shown"))
            say("the broker is stopped, and started")
            broker.stop()
            flow.wait(shown("offline"))
            broker.start()
            flow.wait(shown("(nobody|shown)"))
        with Listener(broker, "unused") as sender:
            say("another box: new fields, a new topic, the same state twice, a new schema, no JSON")
            sender.publish("affectd/door/availability", "online")
            sender.publish("affectd/door/novelty", "{}")
            for _ in range(2):
                sender.publish("affectd/door/state", json.dumps({**STATE, "mood": {"new": 1}}))
            sender.publish("affectd/door/state", json.dumps({**STATE, "schema": 2}))
            sender.publish("affectd/door/state", "<b>")
            sender.publish("affectd/door/state", json.dumps(NOBODY))
            # Warnings overtake what the debug node prints.
            told = flow.wait("schema 2, and this flow knows 1", "not understood", shown("nobody", "door"))
            assert len(re.findall(shown("shown", "door"), told)) == 1


class Consumers:
    """Three copies of ordered_events.py that share one subscription, each with its own database or all with one."""

    def __init__(self, broker: ExampleBroker, folder: Path, databases: tuple[str, str, str]) -> None:
        self.databases = [folder / name for name in databases]
        password = folder / "password"
        password.write_text(password_of("viewer"))
        broker_options = ["--host", broker.host, "--port", str(broker.port)]
        broker_options += ["--username", "viewer", "--password-file", str(password), "--share", "stores"]
        program = [sys.executable, str(EXAMPLES / "ordered_events.py"), *broker_options]
        self._commands = [
            [*program, "--client-id", f"store-{number}", "--database", str(database)]
            for number, database in enumerate(self.databases)
        ]
        self._log = folder / "log"
        self._processes: list[subprocess.Popen[bytes] | None] = [None, None, None]

    def __enter__(self) -> Consumers:
        for number in range(3):
            self.start(number)
        return self

    def __exit__(self, *_: object) -> None:
        for number in range(3):
            self.kill(number)

    def start(self, number: int) -> None:
        """Start one, and wait until it is subscribed."""
        with self._log.open("ab") as log:
            before = self._log.read_text().count("listening")
            self._processes[number] = subprocess.Popen(self._commands[number], stderr=log)
        until(lambda: self._log.read_text().count("listening") > before)

    def kill(self, number: int) -> None:
        """End one as a power cut would; harmless when it does not run."""
        process = self._processes[number]
        if process is not None:
            process.kill()
            process.wait()
            self._processes[number] = None

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query on each database, one after the other."""
        found: list[tuple[Any, ...]] = []
        for database in dict.fromkeys(self.databases):
            with closing(sqlite3.connect(database, timeout=30)) as db:
                found += db.execute(query).fetchall()
        return found

    def counts(self) -> list[int]:
        """Return how many events each database has."""
        return [count for (count,) in self.rows("SELECT COUNT(*) FROM event")]

    def wait_for(self, total: int) -> float:
        """Wait until they have so many together; return the seconds that it took."""
        began = time.monotonic()
        until(lambda: sum(self.counts()) >= total, 300)
        return time.monotonic() - began

    def out_of_order(self) -> int:
        """Count the events that came, to whichever of them, after one of the same box with a higher number."""
        highest: dict[str, int] = {}
        late = 0
        for _, device, seq in sorted(self.rows("SELECT received, device, seq FROM event")):
            late += seq < highest.get(device, 0)
            highest[device] = max(seq, highest.get(device, 0))
        return late


def try_shared(folder: Path) -> None:
    """Measure what three consumers of one shared subscription get while boxes replay, and when one of them dies."""
    total = BOXES * STORED
    for name in ("apart", "together"):
        (folder / name / "boxes").mkdir(parents=True)
    with ExampleBroker(folder / "broker", [*names(BOXES), "viewer"]) as broker:
        say(f"three consumers share one subscription; {BOXES} boxes replay {STORED} events each; a database for each")
        apart = Consumers(broker, folder / "apart", ("0.db", "1.db", "2.db"))
        fleet = Fleet(broker, folder / "apart" / "boxes", boxes=BOXES, stored=STORED, every_s=0.5)
        with apart, fleet:
            fleet.connect()
            took_s = apart.wait_for(total)
            print(f"all {total} stored after {took_s:.1f} s, shared {apart.counts()}")
            print(f"out of order over all three, by the time of receipt: {apart.out_of_order()} of {total}")
            say("one of the three is killed, while each box goes on with two events a second")
            apart.kill(0)
            before = apart.counts()
            fleet.live()
            time.sleep(10)
            fleet.quiet()
            fleet.drain(60)
            time.sleep(3)
            grown = [now - then for now, then in zip(apart.counts(), before, strict=True)]
            made = len(fleet.end().acknowledged) - total
            waiting = made - sum(grown)
            print(
                f"{made} events made; stored by the dead one and the others: {grown}; {waiting} wait for the dead one"
            )
            apart.start(0)
            print(f"it is back: all are there after {apart.wait_for(total + made):.1f} s")
            assert sum(apart.counts()) == total + made
        say("the same replay, and one database for all three")
        together = Consumers(broker, folder / "together", ("all.db", "all.db", "all.db"))
        fleet = Fleet(broker, folder / "together" / "boxes", boxes=BOXES, stored=STORED, every_s=1.0)
        with together, fleet:
            fleet.connect()
            took_s = together.wait_for(total)
            ordered = together.rows("SELECT device, seq FROM ordered_event")
            assert ordered == [(device, seq) for device in names(BOXES) for seq in range(1, STORED + 1)]
            assert together.rows("SELECT * FROM gap") == []
            print(f"all {total} stored after {took_s:.1f} s; {together.out_of_order()} were out of order;")
            print("read by ordered_event: in order, each once, no gap left")


if __name__ == "__main__":
    sys.exit(main())

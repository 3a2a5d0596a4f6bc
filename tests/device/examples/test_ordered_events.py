"""The example consumer that keeps every event once and in order, whatever dies and whatever comes."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from affectd.publish.schema_bundle import message_schema
from support.broker import Listener, Mosquitto
from support.publishing import running
from support.waiting import until

EXAMPLE = Path(__file__).parents[3] / "device" / "examples" / "ordered_events.py"
(EVENT,) = message_schema("event")["examples"]


class Consumer:
    """The example as a user runs it, killed on leaving; its database outlives it."""

    def __init__(self, broker: Mosquitto, folder: Path, *options: str) -> None:
        self.database, self.log_file = folder / "events.db", folder / "consumer.log"
        self._command = [sys.executable, str(EXAMPLE), "--host", broker.host, "--port", str(broker.port)]
        self._command += ["--database", str(self.database), *options]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        starts = self.log.count("listening")
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(self._command, stderr=log)
        until(lambda: self.log.count("listening") > starts)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    @property
    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database)) as db:
            return db.execute(query).fetchall()

    def count(self) -> int:
        return int(self.rows("SELECT COUNT(*) FROM event")[0][0])


@contextmanager
def consumer(broker: Mosquitto, folder: Path, *options: str) -> Iterator[Consumer]:
    running_one = Consumer(broker, folder, *options)
    running_one.start()
    try:
        yield running_one
    finally:
        running_one.kill()


def event(seq: int, *, run: str = "be445e6b", device: str = "kiosk", **more: Any) -> str:
    return json.dumps({**EVENT, "device": device, "run": run, "id": f"{run}-{seq}", "seq": seq, **more})


def seqs(kept: Consumer, device: str = "kiosk") -> list[int]:
    return [seq for name, seq in kept.rows("SELECT device, seq FROM ordered_event") if name == device]


def test_killed_in_the_middle_it_has_every_event_once_and_in_order(broker: Mosquitto, tmp_path: Path) -> None:
    kept = Consumer(broker, tmp_path)
    kept.start()
    with running(broker.port, tmp_path) as box:
        for round_ in range(4):
            box.publish_events(60)
            # Somewhere in the middle: some are stored, some are on the way, and what follows finds nobody.
            until(lambda at_least=60 * round_ + 5: kept.count() > at_least)
            kept.kill()
            box.publish_events(10)
            kept.start()
        until(lambda: kept.count() == 280)
        assert seqs(kept, "box") == list(range(1, 281))
        assert kept.rows("SELECT * FROM gap") == []
        assert kept.process is not None
        kept.process.terminate()
        assert kept.process.wait(20) == 0


def test_repeated_late_and_missing_events_of_two_boxes(broker: Mosquitto, tmp_path: Path) -> None:
    with consumer(broker, tmp_path) as kept, Listener(broker, "unused") as sender:
        for seq in (5, 6, 5, 9, 7, 12, 6, 11):
            sender.publish("affectd/kiosk/event", event(seq))
            sender.publish("affectd/door/event", event(seq + 100, device="door", run="0badcafe"))
        until(lambda: kept.count() == 12)
        assert seqs(kept) == [5, 6, 7, 9, 11, 12]
        assert seqs(kept, "door") == [105, 106, 107, 109, 111, 112]
        missing = "SELECT first, last FROM gap WHERE device = 'kiosk' ORDER BY first"
        assert kept.rows(missing) == [(8, 8), (10, 10)]
        # Told after a while, in which they might have come.
        until(lambda: "kiosk: events 8 to 8 are missing\nkiosk: events 10 to 10 are missing" in kept.log)
        for seq in (8, 2):
            sender.publish("affectd/kiosk/event", event(seq))
        until(lambda: kept.rows(missing) == [(3, 4), (10, 10)])


def test_a_box_with_a_new_outbox_counts_anew_and_nothing_is_taken_for_a_copy(broker: Mosquitto, tmp_path: Path) -> None:
    with consumer(broker, tmp_path) as kept, Listener(broker, "unused") as sender:
        for seq in (1, 2, 4):
            sender.publish("affectd/kiosk/event", event(seq))
        for seq, run in ((1, "0badcafe"), (2, "0badcafe"), (3, "be445e6b"), (3, "00c0ffee")):
            sender.publish("affectd/kiosk/event", event(seq, run=run))
        until(lambda: kept.count() == 7)
        assert seqs(kept) == [1, 2, 3, 4, 1, 2, 3]
        assert kept.rows("SELECT * FROM gap") == []
        assert kept.log.count("numbers its events anew") == 1


def test_what_it_does_not_know_is_kept_and_what_is_no_event_is_set_aside(broker: Mosquitto, tmp_path: Path) -> None:
    foreign = [b"\xff", b"[]", b"", b"[" * 50_000, event(7, schema=2), event(8, id="\ud800"), event(2**70)]
    foreign += [
        event(9).replace('"seq": 9', f'"seq": {seq}') for seq in ("true", "0", "9.0", '"9"', "9223372036854775808")
    ]
    foreign.append(event(9, confidence=float("nan")))
    with consumer(broker, tmp_path) as kept, Listener(broker, "unused") as sender:
        for payload in foreign:
            sender.publish("affectd/kiosk/event", payload)
        sender.publish("affectd/kiosk/novelty", "{}")
        sender.publish("affectd/kiosk/event", event(1, mood={"new": [1]}))
        until(lambda: kept.count() == 1)
        assert kept.rows("SELECT json_extract(payload, '$.mood.new') FROM event") == [("[1]",)]
        assert len(kept.rows("SELECT * FROM unread")) == len(foreign)
        assert seqs(kept) == [1]
        assert "Traceback" not in kept.log


def test_what_cannot_be_stored_is_not_acknowledged_and_comes_again(broker: Mosquitto, tmp_path: Path) -> None:
    with consumer(broker, tmp_path) as kept, Listener(broker, "unused") as sender:
        kept.rows("DROP TABLE gap")
        for seq in (1, 3):
            sender.publish("affectd/kiosk/event", event(seq))
        assert kept.process is not None
        assert kept.process.wait(20) == 1
        assert kept.log.splitlines()[-1] == f"{kept.database}: no such table: gap"
        assert "Traceback" not in kept.log
        kept.start()  # which makes the table again
        until(lambda: kept.count() == 2)
        assert kept.rows("SELECT first, last FROM gap") == [(2, 2)]


def test_two_of_one_name_are_told(broker: Mosquitto, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    with consumer(broker, tmp_path) as first, consumer(broker, tmp_path / "second"):
        until(lambda: "is another client called 'ordered-events' too?" in first.log)


def test_it_waits_for_a_broker_and_says_so_once(broker: Mosquitto, tmp_path: Path) -> None:
    with consumer(broker, tmp_path) as kept:
        broker.stop()
        until(lambda: "cannot be reached" in kept.log)
        broker.start()
        with Listener(broker, "unused") as sender:
            until(lambda: kept.log.count("listening") == 2)
            sender.publish("affectd/kiosk/event", event(1))
            until(lambda: kept.count() == 1)
        assert kept.log.count("cannot be reached") == 1

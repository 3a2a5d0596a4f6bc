"""Disks that fail: damage is set aside, what the disk does not take waits in memory, and no event is lost."""

from __future__ import annotations

import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from affectd.store import damaged_file
from affectd.store import outbox as outbox_module
from affectd.store.damaged_file import BROKEN_KEPT
from affectd.store.outbox import Outbox
from support.broker import Listener, Mosquitto
from support.preloads import build_preload
from support.publishing import TOPICS, start_process
from support.waiting import until

PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


def opened(path: Path) -> Outbox:
    return Outbox(path, max_events=10_000, max_bytes=10**8)


def event(seq: int, event_id: str, size: int) -> bytes:
    """What an outbox takes: JSON with its number."""
    return json.dumps({"id": event_id, "seq": seq}).encode().ljust(size)


def fill(outbox: Outbox, count: int, size: int) -> None:
    for _ in range(count):
        outbox.append(lambda seq, event_id: event(seq, event_id, size))


def spoil(path: Path, *pages: int) -> None:
    """Write rubbish over these pages of the file, counted from 0."""
    with path.open("r+b") as file:
        for page in pages:
            file.seek(page * PAGE)
            file.write(b"\x55" * PAGE)


def seqs(outbox: Outbox) -> list[int]:
    return [stored.seq for stored in outbox.pending(0, 10_000)]


def last_seq(path: Path) -> int:
    """The number of the last event that was ever stored, as another process sees it."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'").fetchone():
            return 0
        row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
    return int(row[0]) if row else 0


# Damage.


@pytest.mark.parametrize(("keeps", "next_seq"), [("nothing", 1), ("first page", 1), ("first half", 201)])
def test_a_file_found_damaged_at_the_start_is_set_aside(
    path: Path, caplog: pytest.LogCaptureFixture, keeps: str, next_seq: int
) -> None:
    outbox = opened(path)
    fill(outbox, 200, 200)
    outbox.close()
    content = path.read_bytes()
    kept = {"nothing": 0, "first page": PAGE, "first half": len(content) // 2 // PAGE * PAGE}[keeps]
    path.write_bytes(content[:kept] + b"\x55" * (len(content) - kept))
    broken = path.read_bytes()

    fresh = opened(path)
    saved = seqs(fresh)
    fill(fresh, 1, 10)
    assert seqs(fresh) == [*saved, next_seq]
    assert fresh.damaged_files == 1
    [aside] = path.parent.glob("outbox.db.broken-*")
    assert aside.read_bytes() == broken
    assert str(path) in caplog.text
    assert aside.name in caplog.text
    if keeps == "first half":
        assert 40 <= len(saved) < 160
        assert saved == list(range(1, len(saved) + 1))
        assert fresh.dropped == 200 - len(saved)
        assert (
            f"{len(saved)} event(s) were read out of {aside.name} and are sent; {fresh.dropped} were lost"
            in caplog.text
        )
    else:
        assert saved == []
        assert "nobody can tell how many were lost" in caplog.text


def test_a_bad_page_costs_the_events_on_it_and_no_others(path: Path) -> None:
    outbox = opened(path)
    fill(outbox, 400, 200)
    whole = {stored.seq: stored for stored in outbox.pending(0, 1000)}
    outbox.close()
    spoil(path, path.stat().st_size // PAGE // 2)
    after = opened(path).pending(0, 1000)
    assert [stored.seq for stored in after] == sorted(stored.seq for stored in after)
    assert all(stored == whole[stored.seq] for stored in after)
    assert 400 - 2 * PAGE // 200 <= len(after) < 400


def test_what_is_no_event_any_more_is_not_sent(path: Path) -> None:
    outbox = opened(path)
    fill(outbox, 100, 200)
    outbox.close()
    spoil(path, path.stat().st_size // PAGE - 1)
    content = path.read_bytes()
    content = content.replace(b'"seq": 7}', b'"seq": 8}').replace(b'"seq": 4}', b'"seq\xff: 4}')
    path.write_bytes(content)
    fresh = opened(path)
    assert fresh.damaged_files == 1
    assert seqs(fresh)[:8] == [1, 2, 3, 5, 6, 8, 9, 10]


def test_the_newest_events_are_saved_from_the_log_of_a_killed_process(path: Path) -> None:
    outbox = opened(path)
    fill(outbox, 50, 500)
    outbox.close()
    again = opened(path)
    fill(again, 10, 500)
    copies = {file.name: file.read_bytes() for file in path.parent.glob("outbox.db*")}
    assert len(copies["outbox.db-wal"]) > 10 * 500
    again.close()
    for name, content in copies.items():  # as a power cut leaves them
        path.with_name(name).write_bytes(content)
    spoil(path, 5)
    fresh = opened(path)
    assert fresh.damaged_files == 1
    assert set(range(51, 61)) <= set(seqs(fresh))
    assert not list(path.parent.glob("outbox.db.broken-*-wal"))


def test_a_card_that_takes_seconds_for_a_page_does_not_hold_up_the_start(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(damaged_file, "SALVAGE_S", 0.0)
    outbox = opened(path)
    fill(outbox, 200, 200)
    outbox.close()
    spoil(path, path.stat().st_size // PAGE - 1)
    fresh = opened(path)
    assert (fresh.depth, fresh.dropped) == (0, 200)


@pytest.mark.parametrize("met_by", ["reading", "removing"])
def test_damage_while_running_is_set_aside_and_seq_goes_on(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, met_by: str
) -> None:
    monkeypatch.setattr(outbox_module, "DELIVERED_S", 0.0)
    outbox = opened(path)
    fill(outbox, 600, 8000)  # more than SQLite keeps in memory
    outbox.acknowledge(1)
    spoil(path, *range(4, 40))
    if met_by == "reading":
        saved = seqs(outbox)
    else:
        outbox.tend()
        saved = seqs(outbox)
    assert outbox.damaged_files == 1
    assert 1 not in saved  # it was delivered
    assert len(saved) > 100
    fill(outbox, 1, 10)
    assert seqs(outbox) == [*saved, 601]
    assert (outbox.depth, outbox.fault) == (len(saved) + 1, None)
    assert outbox.dropped == 599 - len(saved)
    assert f"{len(saved)} event(s) were read out of" in caplog.text
    outbox.close()
    assert last_seq(path) == 601
    assert seqs(opened(path)) == [*saved, 601]


def test_damaged_files_do_not_pile_up(path: Path) -> None:
    for _ in range(BROKEN_KEPT + 2):
        path.write_bytes(b"this is no database" * 1000)
        opened(path).close()
    assert len(list(path.parent.glob("outbox.db.broken-*"))) == BROKEN_KEPT


# A disk that takes nothing.


def test_a_number_given_while_the_disk_took_nothing_is_not_given_again(path: Path) -> None:
    outbox = opened(path)
    fill(outbox, 1, 10)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        fill(outbox, 3, 10)
        assert outbox.unstored == 3
        assert "locked" in (outbox.fault or "")
        for seq in seqs(outbox):
            outbox.acknowledge(seq)  # sent from memory
        assert (outbox.depth, outbox.unstored) == (0, 0)
    outbox.close()
    again = opened(path)
    fill(again, 1, 10)
    assert seqs(again) == [5]


def test_memory_is_bounded_and_what_falls_out_is_counted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "UNSTORED_KEPT", 5)
    outbox = opened(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        fill(outbox, 8, 10)
        assert (outbox.unstored, outbox.dropped) == (5, 3)
    outbox.close()
    again = opened(path)
    assert seqs(again) == [4, 5, 6, 7, 8]
    assert again.dropped == 3


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_what_the_disk_does_not_take_is_sent_from_memory_and_stored_later(
    broker: Mosquitto, path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    switch = path.with_name("errno")
    monkeypatch.setenv("LD_PRELOAD", build_preload("bad_disk", path.parent))
    monkeypatch.setenv("BAD_DISK", str(switch))
    with Listener(broker, TOPICS.event, durable=True) as listener:
        process = start_process(broker.port, path.parent, 100_000)
        assert process.stdout is not None
        reached = [int(process.stdout.readline()) for _ in range(20)][-1]
        switch.write_text(str(number))
        reached = [int(process.stdout.readline()) for _ in range(60)][-1]
        stuck_at = last_seq(path)
        assert stuck_at < reached
        listener.wait_for(lambda messages: any(m.json["seq"] > stuck_at for m in messages), 40)
        switch.unlink()
        while last_seq(path) <= reached:
            reached_now = int(process.stdout.readline())
            assert reached_now < reached + 5000, "the disk is back, and nothing is stored"
        process.send_signal(signal.SIGKILL)
        process.communicate()
        final = start_process(broker.port, path.parent, 1)
        last = int(final.communicate(timeout=90)[0])
        listener.wait_for(lambda messages: any(m.json["seq"] == last for m in messages), 60)
        events = [message.json for message in listener.messages]
    assert list(dict.fromkeys(event["seq"] for event in events)) == list(range(1, last + 1))
    assert len({event["id"] for event in events}) == last


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("first", [True, False])
def test_a_disk_that_takes_nothing_at_the_start_is_waited_for(
    broker: Mosquitto, path: Path, monkeypatch: pytest.MonkeyPatch, number: int, first: bool
) -> None:
    before = 0
    if not first:
        outbox = opened(path)
        before = 5
        fill(outbox, before, 10)
        outbox.close()
    switch = path.with_name("errno")
    monkeypatch.setenv("LD_PRELOAD", build_preload("bad_disk", path.parent))
    monkeypatch.setenv("BAD_DISK", str(switch))
    switch.write_text(str(number))
    with Listener(broker, TOPICS.event) as listener:
        process = start_process(broker.port, path.parent, 100_000)
        listener.wait_for(lambda messages: len(messages) >= 5)
        assert before == 0 or last_seq(path) == before
        switch.unlink()
        until(lambda: path.stat().st_size and last_seq(path) > before + 5, 20)
        # A new file is told the number to go on from, then the events: killed in between, it would not know those sent.
        begun_at = last_seq(path)
        until(lambda: last_seq(path) > begun_at, 20)
        known = set(range(1, before + 1))
        listener.wait_for(lambda messages: known <= {m.json["seq"] for m in messages}, 20)  # those that waited in it
        process.kill()
        process.communicate()
        final = start_process(broker.port, path.parent, 1)
        last = int(final.communicate(timeout=90)[0])
        listener.wait_for(lambda messages: any(m.json["seq"] == last for m in messages), 60)
        sent = {message.json["seq"]: message.json["id"] for message in listener.messages}
    assert sorted(sent) == list(range(1, last + 1))


SYNCS = """
import json, sys
from pathlib import Path
from affectd.store import outbox as module
module.DELIVERED_S = 0.0
outbox, counts = module.Outbox(Path(sys.argv[1]), max_events=1000, max_bytes=10**6), []
def count():
    counts.append(Path(sys.argv[2]).stat().st_size)
count()
seqs = [outbox.append(lambda seq, event_id: event_id.encode()) for _ in range(10)]
count()
for seq in seqs:
    outbox.acknowledge(seq)
    outbox.tend()
count()
assert outbox.depth == 0
print(json.dumps(counts))
"""


def test_an_event_waits_for_the_disk_once_and_its_removal_never(path: Path) -> None:
    counter = path.with_name("syncs")
    environment = {**os.environ, "LD_PRELOAD": build_preload("bad_disk", path.parent), "SYNCS": str(counter)}
    command = [sys.executable, "-c", SYNCS, str(path), str(counter)]
    said = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout
    opened_at, stored_at, removed_at = json.loads(said)
    assert 10 <= stored_at - opened_at <= 12
    assert removed_at == stored_at

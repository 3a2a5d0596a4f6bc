"""The outbox alone: bounds, numbers, its lock, threads."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from affectd.errors import OutboxError
from affectd.store import outbox as outbox_module
from affectd.store.event_file import EventFile
from affectd.store.outbox import Outbox, OutboxInUseError


def opened(path: Path, *, max_events: int = 1000, max_bytes: int = 10**6) -> Outbox:
    return Outbox(path, max_events=max_events, max_bytes=max_bytes)


def append(outbox: Outbox, size: int = 0) -> int:
    return outbox.append(lambda seq, event_id: event_id.encode().ljust(size, b"."))


def waiting(outbox: Outbox) -> list[int]:
    return [stored.seq for stored in outbox.pending(0, 10_000)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.db"


def on_disk(path: Path) -> list[int]:
    """The seqs in the file, as another process sees them."""
    with closing(sqlite3.connect(path)) as db:
        return [seq for (seq,) in db.execute("SELECT seq FROM event ORDER BY seq")]


def test_gives_what_waits_in_order_until_acknowledged(path: Path) -> None:
    outbox = opened(path)
    for _ in range(5):
        append(outbox)
    outbox.acknowledge(2)
    outbox.acknowledge(2)
    assert waiting(outbox) == [1, 3, 4, 5]
    assert [stored.seq for stored in outbox.pending(1, 2)] == [3, 4]
    assert outbox.depth == 4


def test_delivered_events_leave_the_disk_together(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = opened(path)
    for _ in range(6):
        append(outbox)
    for seq in (1, 2, 3):
        outbox.acknowledge(seq)
        outbox.tend()
    assert on_disk(path) == [1, 2, 3, 4, 5, 6]
    append(outbox)  # they go with the next event
    assert on_disk(path) == [4, 5, 6, 7]
    outbox.acknowledge(4)
    monkeypatch.setattr(outbox_module, "DELIVERED_S", 0.0)
    outbox.tend()  # or after a while
    assert on_disk(path) == [5, 6, 7]
    outbox.acknowledge(5)
    outbox.close()  # or at the end
    assert on_disk(path) == [6, 7]


def test_what_is_counted_of_a_change_is_never_half_of_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox, seen = opened(path), []
    for _ in range(3):
        append(outbox)
    outbox.acknowledge(1)
    outbox.acknowledge(2)
    forget = EventFile.forget

    def looked_at(file: EventFile, seqs: set[int]) -> None:
        forget(file, seqs)
        seen.append(outbox.depth)

    monkeypatch.setattr(EventFile, "forget", looked_at)
    monkeypatch.setattr(outbox_module, "DELIVERED_S", 0.0)
    outbox.tend()
    assert seen == [1]


def test_ids_are_unique_and_stay_with_their_events(path: Path) -> None:
    outbox = opened(path)
    append(outbox)
    [first] = outbox.pending(0, 9)
    outbox.close()
    again = opened(path)
    append(again)
    kept, second = again.pending(0, 9)
    assert kept == first
    assert first.payload.endswith(b"-1")
    assert second.payload.endswith(b"-2")
    assert first.payload[:8] != second.payload[:8]


def test_too_many_events_drop_the_oldest_and_count_it(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = opened(path, max_events=3)
    for _ in range(5):
        append(outbox)
    assert waiting(outbox) == [3, 4, 5]
    assert (outbox.depth, outbox.dropped) == (3, 2)
    assert "full" in caplog.text
    outbox.close()
    assert opened(path, max_events=3).dropped == 2


def test_too_many_bytes_drop_the_oldest_but_never_the_newest(path: Path) -> None:
    outbox = opened(path, max_bytes=1000)
    for _ in range(3):
        append(outbox, 400)
    assert waiting(outbox) == [2, 3]
    append(outbox, 5000)
    assert waiting(outbox) == [4]
    assert outbox.dropped == 3
    outbox.close()
    append(again := opened(path, max_bytes=1000), 100)
    assert waiting(again) == [5]


def test_seq_is_never_used_again_over_restarts(path: Path) -> None:
    outbox = opened(path)
    for expected in (1, 2):
        seq = append(outbox)
        assert seq == expected
        outbox.acknowledge(seq)
    outbox.close()
    again = opened(path)
    assert again.depth == 0
    assert append(again) == 3


def test_an_event_that_is_given_up_is_counted(path: Path) -> None:
    outbox = opened(path)
    append(outbox)
    append(outbox)
    outbox.drop(1)
    assert waiting(outbox) == [2]
    assert outbox.dropped == 1
    outbox.close()
    assert opened(path).dropped == 1


def test_an_event_that_cannot_be_built_leaves_no_gap(path: Path) -> None:
    outbox = opened(path)
    with pytest.raises(ZeroDivisionError):
        outbox.append(lambda seq, event_id: b"%d" % (1 // 0))
    assert append(outbox) == 1
    assert outbox.depth == 1


def test_an_unwritable_place_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "outbox.db", tmp_path, Path("/proc/outbox.db")):
        with pytest.raises(OutboxError, match=r"outbox\.path") as caught:
            opened(path)
        assert str(path) in str(caught.value)


HOLDER = """
import sys, time
from pathlib import Path
from affectd.store.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]), max_events=1000, max_bytes=10**6)
outbox.append(lambda seq, event_id: event_id.encode())
print("open", flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the outbox open."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_has_it(path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(OutboxInUseError) as caught:
        Outbox(path, max_events=1000, max_bytes=10**6, lock_wait_s=0.3)
    assert f"outbox {path}: in use by process {holder.pid}; stop the other affectd" in str(caught.value)
    assert caught.value.exit_code == 7


def test_one_that_is_being_replaced_is_waited_for(path: Path, holder: subprocess.Popen[str]) -> None:
    began = time.monotonic()
    threading.Timer(1.0, lambda: holder.send_signal(signal.SIGKILL)).start()
    outbox = opened(path)
    assert time.monotonic() - began > 0.5
    assert waiting(outbox) == [1]
    assert append(outbox) == 2
    outbox.close()
    opened(path).close()  # a lock that is released is free at once


def test_threads_append_and_acknowledge_at_once(path: Path) -> None:
    outbox = opened(path, max_events=10_000)
    seqs: list[int] = []

    def work() -> None:
        for number in range(50):
            seq = append(outbox)
            seqs.append(seq)
            if number % 2:
                outbox.acknowledge(seq)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seqs) == list(range(1, 201))
    assert outbox.depth == len(waiting(outbox)) == 100

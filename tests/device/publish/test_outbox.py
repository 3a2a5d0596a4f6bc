"""The outbox alone: bounds, numbers, damage, threads."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from affectd.errors import OutboxError
from affectd.publish.outbox import Outbox


def opened(path: Path, *, max_events: int = 1000, max_bytes: int = 10**6) -> Outbox:
    return Outbox(path, max_events=max_events, max_bytes=max_bytes)


def append(outbox: Outbox, size: int = 0) -> int:
    return outbox.append(lambda seq, event_id: event_id.encode().ljust(size, b"."))


def waiting(outbox: Outbox) -> list[int]:
    return [stored.seq for stored in outbox.pending(0, 10_000)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.db"


def test_gives_what_waits_in_order_until_acknowledged(path: Path) -> None:
    outbox = opened(path)
    for _ in range(5):
        append(outbox)
    outbox.acknowledge(2)
    outbox.acknowledge(2)
    assert waiting(outbox) == [1, 3, 4, 5]
    assert [stored.seq for stored in outbox.pending(1, 2)] == [3, 4]
    assert outbox.depth == 4
    assert outbox.pending(0, 1)[0].payload == f"{outbox.store_id}-1".encode()


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
    store = outbox.store_id
    for expected in (1, 2):
        seq = append(outbox)
        assert seq == expected
        outbox.acknowledge(seq)
    outbox.close()
    again = opened(path)
    assert again.depth == 0
    assert append(again) == 3
    assert again.store_id == store


def test_an_event_that_cannot_be_built_leaves_no_gap(path: Path) -> None:
    outbox = opened(path)
    with pytest.raises(ZeroDivisionError):
        outbox.append(lambda seq, event_id: b"%d" % (1 // 0))
    assert append(outbox) == 1
    assert outbox.depth == 1


@pytest.mark.parametrize("damage", ["not a database", "torn page"])
def test_a_damaged_file_is_set_aside(path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    outbox = opened(path)
    for _ in range(200):
        append(outbox, 200)
    before = outbox.store_id
    outbox.close()
    content = path.read_bytes()
    torn = content[:4096] + bytes(len(content) - 4096)
    path.write_bytes(b"this is no database" * 1000 if damage == "not a database" else torn)
    damaged = path.read_bytes()

    fresh = opened(path)
    assert append(fresh) == 1
    assert fresh.store_id != before
    aside = path.with_name("outbox.db.corrupt-1")
    assert aside.read_bytes() == damaged
    assert str(path) in caplog.text
    assert aside.name in caplog.text


def test_an_unwritable_place_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "outbox.db", tmp_path, Path("/proc/outbox.db")):
        with pytest.raises(OutboxError, match=r"outbox\.path") as caught:
            opened(path)
        assert str(path) in str(caught.value)


def test_a_store_that_is_locked_or_closed_is_a_sentence(path: Path) -> None:
    outbox = opened(path)
    append(outbox)
    other = sqlite3.connect(path)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(OutboxError, match="locked"):
        append(outbox)
    with pytest.raises(OutboxError, match="locked"):
        outbox.acknowledge(1)
    other.rollback()
    assert append(outbox) == 2
    outbox.acknowledge(1)
    assert waiting(outbox) == [2]
    outbox.close()
    with pytest.raises(OutboxError, match=str(path)):
        outbox.pending(0, 1)


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

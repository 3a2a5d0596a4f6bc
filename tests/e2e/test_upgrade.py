"""A box is upgraded while events of the version before wait in its outbox."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from affectd.cli.message_lines import MessageFormatter
from affectd.publish.connection_events import ReceivedMessage
from e2e.completeness import EVENT
from e2e.program import RESTLESS, Affectd, blinking_person
from support.broker import Listener, Mosquitto

TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE event (seq INTEGER PRIMARY KEY AUTOINCREMENT, payload BLOB NOT NULL);
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta VALUES ('dropped', 0);
"""
"""As every version before made them."""
EVEN = dict.fromkeys(("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"), 0.1429)


def old_event(seq: int, emotion: str | None) -> bytes:
    """Write an event as it was before people had numbers: no run, no captured_at, no reason, no person."""
    face = {"present": True, "track": 3, "quality": 0.8, "box": [0.1, 0.2, 0.3, 0.4], "probabilities": EVEN}
    event: dict[str, Any] = {
        "schema": 1, "id": f"32bd7cdd-{seq}", "device": "box", "boot": "boot-1", "seq": seq,
        "time": "2026-11-20T09:36:33.658Z", "clock_synced": False,
        "emotion": emotion, "confidence": 0.88, "probabilities": EVEN, "previous": "neutral", "face": face,
        "voice": {"active": False, "snr_db": None, "quality": 0.0, "probabilities": None},
        "agreement": "single", "strategy": "adaptive", "latency_ms": 0.2, "held_s": 4.2,
        "models": {"face": "face-vgg16 1.0.0 int8"},
    }  # fmt: skip
    return json.dumps(event, separators=(",", ":")).encode()


def test_events_of_the_version_before_arrive_as_they_were_stored(broker: Mosquitto, tmp_path: Path) -> None:
    old = [old_event(7, "happy"), old_event(8, None), old_event(9, "sad")]
    daemon = Affectd(tmp_path, broker, camera={"source": str(blinking_person(tmp_path / "clip.mp4"))}, **RESTLESS)
    with closing(sqlite3.connect(daemon.outbox)) as db, db:
        db.executescript(TABLES)
        db.executemany("INSERT INTO event VALUES (?, ?)", [(7 + number, event) for number, event in enumerate(old)])
    with Listener(broker, EVENT) as listener, daemon:
        assert daemon.wait(60) == 0  # the clip has ended, and its events are on their way
        messages = listener.wait_for(lambda messages: len(messages) > len(old))
    assert [message.payload for message in messages[:3]] == old
    new = [message.json for message in messages[3:]]
    assert [event["seq"] for event in new] == list(range(10, 10 + len(new)))
    assert all(event["reason"] for event in new)
    assert "Traceback" not in daemon.log
    assert "damaged" not in daemon.log
    formatter = MessageFormatter(colours=False)
    for payload, word in zip(old, ("happy", "unsure", "sad"), strict=True):
        assert word in (formatter.line(ReceivedMessage(EVENT, payload)) or "")

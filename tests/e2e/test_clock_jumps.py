"""A box without a battery clock boots in 1970, and time servers move it by years: durations stay true."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from e2e.program import DEVICE, RESTLESS, Affectd, blinking_person
from support.broker import Listener, Mosquitto
from support.fault_table import FaultTable
from support.preloads import build_preload

ROOT = f"affectd/{DEVICE}"


def test_jumps_of_years_both_ways_change_the_time_and_nothing_else(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault_table: FaultTable
) -> None:
    offset = tmp_path / "offset"
    monkeypatch.setenv("LD_PRELOAD", build_preload("clock", tmp_path))
    monkeypatch.setenv("CLOCK_OFFSET", str(offset))
    monkeypatch.setenv("CLOCK_STATE", "5")
    clip = blinking_person(tmp_path / "blinking.mp4")
    settings = {**RESTLESS, "mqtt": {"heartbeat_s": 1.0}}
    offset.write_text(str(-int(time.time())))
    this_year = time.gmtime().tm_year

    def told_in(year: int, topic: str, count: int) -> list[dict[str, object]]:
        def found() -> list[dict[str, object]]:
            documents = [message.json for message in listener.on(f"{ROOT}/{topic}")]
            return [document for document in documents if str(document["time"]).startswith(str(year))]

        listener.wait_for(lambda _: len(found()) >= count)
        return found()

    def jump(year: int) -> float:
        """Set the clock to the middle of a year, wait for two events of it, and give when the first was there."""
        offset.write_text(str(round(datetime(year, 7, 1, tzinfo=timezone.utc).timestamp() - time.time())))
        began = time.monotonic()
        told_in(year, "event", 1)
        took = time.monotonic() - began
        told_in(year, "event", 2)
        return took

    with (
        Listener(broker, f"{ROOT}/#") as listener,
        Affectd(tmp_path, broker, camera={"source": str(clip)}, clip={"loop": True}, **settings) as daemon,
    ):
        told_in(1970, "event", 2)
        told_in(1970, "state", 1)
        slowest_s = jump(this_year)
        told_in(this_year, "state", 2)  # the retained state is put right
        slowest_s = max(slowest_s, jump(this_year - 10), jump(this_year + 10))
        [*_, health] = told_in(this_year + 10, "health", 1)
        assert daemon.runs
        events = [message.json for message in listener.on(f"{ROOT}/event")]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert all(0 <= event["held_s"] < 60 for event in events)
    assert all(0 <= event["latency_ms"] < 60_000 for event in events)
    assert health["broker_reconnects"] == 0
    components = health["components"]
    assert isinstance(components, dict)
    assert all(part["restarts"] == 0 for part in components.values())
    # Since when, in the time of now, although the clock said 1970 then.
    assert all(part["since"].startswith(str(this_year + 10)) for part in components.values())
    assert "Traceback" not in daemon.log
    repeated = len(events) - len({event["id"] for event in events})
    remark = "1970, this year, ten years back, ten years on: no gap, no reconnect, no restart"
    fault_table.record("clock jumps by years, both ways", recovered_s=slowest_s, repeated=repeated, remark=remark)

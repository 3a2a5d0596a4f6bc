"""An accelerator that never answers again: the worker that hangs in it is replaced, with a model of its own."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from affectd import pipeline
from affectd.config.file import load
from affectd.daemon import Daemon
from affectd.inference.interpreter import Interpreter
from e2e.completeness import EVENT, HEALTH, assert_complete, last_seq, restless
from support.broker import Listener, Mosquitto
from support.fault_table import FaultTable
from support.waiting import until


def test_a_worker_that_hangs_in_its_model_is_replaced(
    broker: Mosquitto, tmp_path: Path, fault_table: FaultTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    affectd = restless(tmp_path, broker)
    monkeypatch.setattr(pipeline, "WORKER_DEADLINE_S", 5.0)
    daemon = Daemon(load(affectd.settings_file, {}))
    first, hangs, release = daemon._models["face"].interpreter, threading.Event(), threading.Event()
    answer = Interpreter.__call__

    def answer_or_hang(interpreter: Interpreter, x: Any) -> Any:
        if interpreter is first and hangs.is_set():
            release.wait()
        return answer(interpreter, x)

    monkeypatch.setattr(Interpreter, "__call__", answer_or_hang)
    stop = threading.Event()
    thread = threading.Thread(target=daemon.run, args=(stop,))
    with Listener(broker, EVENT, HEALTH) as listener:

        def replaced() -> list[Any]:
            """Return what health has said of the face worker since it was replaced."""
            told = [message.json["components"]["face"] for message in listener.on(HEALTH)]
            return [part for part in told if part["restarts"] > 0]

        def events() -> list[Any]:
            return [message.json for message in listener.on(EVENT)]

        thread.start()
        try:
            until(lambda: len(events()) >= 2)
            hangs.set()
            until(replaced)
            assert replaced()[0]["last_error"].startswith("no sign of life for 5 s, replaced")
            before, began = len(events()), time.monotonic()
            until(lambda: len(events()) >= before + 2)
            recovered_s = time.monotonic() - began
            assert daemon._models["face"].interpreter is not first
        finally:
            release.set()
            stop.set()
            thread.join(30)
        until(lambda: events()[-1]["seq"] == last_seq(affectd.outbox))
    repeated = assert_complete(listener.on(EVENT), affectd.outbox)
    fault_table.record(
        "a model's accelerator never answers again",
        recovered_s=recovered_s,
        repeated=repeated,
        remark="noticed after 20 s (5 s in the test)",
    )

"""Too little memory and too little processor: parts fail or slow down and say so, and no event is lost."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from affectd.config.file import load
from affectd.daemon import Daemon
from affectd.errors import AffectdError
from affectd.inference.interpreter import installed_runtimes
from affectd.publish import publisher
from e2e.completeness import EVENT, HEALTH, ROOT, assert_complete, count, last_seq, newer_than_all_in, restless, stop
from e2e.program import RESTLESS, Affectd, command, environment
from support.broker import Listener, Message, Mosquitto, free_port
from support.fault_table import FaultTable
from support.proc import cpu_s, pid_of, short_of_memory, starved
from support.stream_server import StreamServer
from support.waiting import until

FACES = f"{ROOT}/faces"


def healths(messages: list[Message]) -> list[Any]:
    return [message.json for message in messages if message.topic == HEALTH]


def latencies(messages: list[Message]) -> list[float]:
    """Return the milliseconds from each picture to the publishing of what was read in it."""
    return [message.json["latency_ms"] for message in messages if message.topic == FACES]


# Memory.


@pytest.mark.parametrize("runtime", installed_runtimes())
def test_too_little_memory_to_start_is_said_and_tried_again(
    runtime: str, tmp_path: Path, fault_table: FaultTable
) -> None:
    settings = {"camera": {"source": f"http://127.0.0.1:{free_port()}/"}, "inference": {"runtime": runtime}}
    program = Affectd(tmp_path, microphone={"source": "off"}, mqtt={"port": free_port()}, **settings)
    codes = []
    for megabytes in (30, 115, 125):  # for imports, for models, for threads
        line = ["prlimit", f"--data={megabytes}000000", *command("run", "--config", str(program.settings_file))]
        ended = subprocess.run(line, env=environment(), stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        codes.append(ended.returncode)
        assert "Traceback" not in ended.stderr
        if ended.returncode == AffectdError.exit_code:
            # numpy's OpenBLAS ends the process itself.
            assert re.search("affectd: not enough memory|^OpenBLAS error: Memory allocation", ended.stderr)
    # The service manager starts it again, unless a model or a setting were to blame. tflite-runtime may crash.
    assert AffectdError.exit_code in codes
    assert all(code == AffectdError.exit_code or code < 0 for code in codes)
    fault_table.record(
        f"30 to 125 MB for all its data at the start, {runtime}",
        recovered_s=None,
        remark="exit codes " + " ".join(map(str, codes)) + ", a sentence with each 1; it is started again",
    )


def test_a_camera_too_large_for_the_memory_left_is_said_and_comes_back(
    broker: Mosquitto, tmp_path: Path, fault_table: FaultTable
) -> None:
    with StreamServer() as camera, Listener(broker, EVENT, HEALTH) as listener:
        daemon = Affectd(tmp_path, broker, camera={"source": camera.url}, microphone={"source": "off"}, **RESTLESS)
        with daemon:
            listener.wait_for(lambda messages: count(messages) >= 2)
            camera.die()
            listener.wait_for(lambda _: camera_state(listener) == "waiting")
            camera.size = (2000, 1500)
            with short_of_memory(pid_of(daemon), spare_mb=2.0):
                sent, seen = camera.sent, len(listener.messages)
                camera.come_back()
                until(lambda: camera.sent > sent + 5)  # it has tried to take a picture
                told = listener.wait_for(lambda messages: len(healths(messages[seen:])) >= 4)  # health goes on
                assert {camera_state(listener), healths(told)[-4]["components"]["camera"]["state"]} <= AWAY
                assert daemon.runs, daemon.log
            began, stored = time.monotonic(), last_seq(daemon.outbox)
            listener.wait_for(lambda messages: last_arrived(messages) > stored)
            back = time.monotonic() - began
            stop(daemon, listener)
        repeated = assert_complete(listener.on(EVENT), daemon.outbox)
    assert "Traceback" not in daemon.log
    fault_table.record(
        "no memory for a large camera's pictures",
        recovered_s=back,
        repeated=repeated,
        remark="the camera waits, the others go on",
    )


AWAY = {"waiting", "starting"}


def camera_state(listener: Listener) -> str:
    told = healths(listener.messages)
    return str(told[-1]["components"]["camera"]["state"]) if told else ""


@contextmanager
def in_this_process(program: Affectd) -> Iterator[Daemon]:
    """Run the daemon in a thread of the test, so that the test can reach its outermost edges."""
    daemon = Daemon(load(program.settings_file, {}))
    enough = threading.Event()
    thread = threading.Thread(target=daemon.run, args=(enough,))
    thread.start()
    try:
        yield daemon
    finally:
        enough.set()
        thread.join(30)


class Failing:
    """Stands before a call of a library, and has it fail for want of memory for the next `times` calls."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.times = self.failed = 0
        self._call = call

    def __call__(self, *args: Any, **options: Any) -> Any:
        if self.times > 0:
            self.times -= 1
            self.failed += 1
            raise MemoryError("std::bad_alloc")
        return self._call(*args, **options)


def test_inference_without_memory_does_not_stop_the_daemon(
    broker: Mosquitto, tmp_path: Path, fault_table: FaultTable
) -> None:
    program = restless(tmp_path, broker)
    with Listener(broker, EVENT, HEALTH) as listener, in_this_process(program) as daemon:
        runtime = daemon._models["face"].interpreter._interpreter
        runtime.invoke = failing = Failing(runtime.invoke)
        listener.wait_for(lambda messages: count(messages) >= 2)
        failing.times = 3
        until(lambda: failing.failed == 3)
        began, stored = time.monotonic(), last_seq(program.outbox)
        listener.wait_for(lambda messages: last_arrived(messages) > stored)
        back = time.monotonic() - began
        listener.wait_for(lambda messages: face_of(messages)["restarts"] == 3)
        listener.wait_for(lambda messages: face_of(messages)["state"] == "running")
        assert face_of(listener.messages)["last_error"] == "unexpected MemoryError: std::bad_alloc"
    until(lambda: last_arrived(listener.messages) == last_seq(program.outbox))
    repeated = assert_complete(listener.on(EVENT), program.outbox)
    fault_table.record(
        "inference gets no memory, three times",
        recovered_s=back,
        repeated=repeated,
        remark="the face worker is restarted",
    )


def face_of(messages: list[Message]) -> dict[str, Any]:
    return healths(messages)[-1]["components"]["face"]


def last_arrived(messages: list[Message]) -> int:
    return max((message.json["seq"] for message in messages if message.topic == EVENT), default=0)


def test_an_event_that_got_no_memory_is_published_when_there_is_some(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault_table: FaultTable
) -> None:
    failing = Failing(json.dumps)
    monkeypatch.setattr(publisher.json, "dumps", failing)
    program = restless(tmp_path, broker)
    with Listener(broker, EVENT) as listener, in_this_process(program) as daemon:
        listener.wait_for(lambda messages: count(messages) >= 2)
        for _ in range(4):  # whatever it is that is written then: an event, a state, health
            failing.times = 2
            until(lambda: failing.times == 0)
            newer_than_all_in(program.outbox, listener)
        assert daemon._supervisor.failure is None
    until(lambda: last_arrived(listener.messages) == last_seq(program.outbox))
    events = listener.on(EVENT)
    repeated = assert_complete(events, program.outbox)
    # None was left out between two: each begins where the one before it ended.
    emotions = [(event.json["previous"], event.json["emotion"]) for event in events]
    assert all(before[1] == after[0] for before, after in pairwise(emotions))
    assert failing.failed == 8
    fault_table.record("publishing gets no memory, eight times", recovered_s=None, repeated=repeated)


# Processor.


def test_half_of_the_processor_time_that_it_wants_drops_frames_and_no_event(
    broker: Mosquitto, tmp_path: Path, fault_table: FaultTable
) -> None:
    with (
        Listener(broker, EVENT, HEALTH, FACES) as listener,
        restless(tmp_path, broker, every_s=2.0, mqtt={"faces": True}) as daemon,
    ):
        pid = pid_of(daemon)
        listener.wait_for(lambda messages: count(messages) >= 1)
        began, used = time.monotonic(), cpu_s(pid)
        listener.wait_for(lambda messages: count(messages) >= 5)
        wants = (cpu_s(pid) - used) / (time.monotonic() - began)
        before = healths(listener.wait_for(healths))[-1]
        seen = len(listener.messages)
        began, used = time.monotonic(), cpu_s(pid)
        with starved(pid, share=wants / 2):
            listener.wait_for(
                lambda messages: (
                    len(latencies(messages[seen:])) >= 10
                    and healths(messages)[-1]["frames_dropped"] >= before["frames_dropped"] + 5
                    and healths(messages)[-1]["face_readings_per_s"] < healths(messages)[-1]["frames_per_s"]
                ),
            )
            share = (cpu_s(pid) - used) / (time.monotonic() - began)
            starving = listener.messages[seen:]
        told, worst_ms = healths(starving)[-1], max(latencies(starving))
        assert share < 0.8 * wants
        assert told["face_readings_per_s"] < told["frames_per_s"]
        assert worst_ms < 20_000  # old frames are dropped, they do not queue
        assert all(component["state"] == "running" for component in told["components"].values())
        ended = time.monotonic()
        after = len(listener.messages)
        until(lambda: any(ms < 500 for ms in latencies(listener.messages[after:])))
        back = time.monotonic() - ended
        stop(daemon, listener)
        repeated = assert_complete(listener.on(EVENT), daemon.outbox)
    fault_table.record(
        "half of the processor time it wants",
        recovered_s=back,
        repeated=repeated,
        remark=f"it got {share:.0%} of a core; {told['frames_dropped'] - before['frames_dropped']} frames dropped, "
        f"{told['face_readings_per_s']:.1f} readings of {told['frames_per_s']:.1f} frames a second, "
        f"latency at most {worst_ms:.0f} ms",
    )

"""Components that hang: left behind within a bound and replaced, never opened twice, and the others go on."""

import threading
import time

from affectd.backoff import Backoff
from affectd.errors import CaptureError
from affectd.service.component import STUCK_MOST, Component
from affectd.service.pool import Pool
from support.components import QUICK, state_of, working
from support.waiting import DEADLINE_S, until

IMPATIENT_S = 1.0
"""For what hangs: less than this a healthy thread may need on a busy machine."""


def watch_until(supervisor, condition):
    """Do as the daemon does until the condition holds."""

    def look():
        supervisor.replace_stuck(time.monotonic())
        return condition()

    until(look)


def hanging_first(hang, starts):
    """Make a `run` that hangs the first time, before its first beat, and works from then on."""

    def run(stop, beat):
        starts.append(1)
        if len(starts) == 1:
            hang.wait()
        working(stop, beat)

    return run


def test_hanging_component_does_not_hold_up_the_stop(supervise, hang):
    stopped = []

    def orderly(stop, beat):
        working(stop, beat)
        stopped.append("publisher")

    wedged = Component("camera", lambda stop, beat: hang.wait())
    publisher = Component("publisher", orderly)
    supervisor = supervise(wedged, publisher)
    supervisor.start()
    until(lambda: state_of(publisher) == "running")
    assert supervisor.stop(1.0) == ["camera"]
    assert stopped == ["publisher"]
    assert state_of(wedged) == "failed"
    assert "camera was told to stop and has not" in wedged.status().last_error


def test_device_still_held_by_a_hanging_thread_is_not_opened_twice(supervise, hang):
    holders, most = [], []

    def stubborn(stop, beat):
        holders.append(1)
        most.append(len(holders))
        hang.wait()
        working(stop, beat)
        holders.pop()

    camera = Component("camera", stubborn)
    supervisor = supervise(camera)
    supervisor.start()
    until(lambda: most)
    assert supervisor.pause(["camera"], 0.1) == ["camera"]
    supervisor.resume(["camera"])
    assert supervisor.pause(["camera"], 0.1) == ["camera"], "the first thread still holds the device"
    supervisor.resume(["camera"])
    hang.set()
    until(lambda: state_of(camera) == "running")
    assert max(most) == 1
    assert len(most) == 2


def test_one_that_hangs_is_replaced_and_the_others_go_on(supervise, hang, caplog):
    starts = []

    def hangs_once(stop, beat):
        starts.append(threading.current_thread())
        beat()
        if len(starts) == 1:
            hang.wait()
            beat()  # of a thread that was left behind
            raise CaptureError("what nobody wants to hear any more")
        working(stop, beat)

    camera = Component("camera", hangs_once, backoff=QUICK, deadline_s=IMPATIENT_S)
    worker = Component("worker", working, deadline_s=DEADLINE_S)
    supervisor = supervise(camera, worker)
    supervisor.start()
    watch_until(supervisor, lambda: len(starts) == 2 and state_of(camera) == "running")
    status = camera.status()
    assert status.restarts == 1
    assert status.last_error.startswith("no sign of life for 1 s, replaced")
    assert caplog.text.count("no sign of life") == 1
    assert worker.status().restarts == 0
    hang.set()
    starts[0].join(DEADLINE_S)
    assert not starts[0].is_alive()
    assert camera.status().last_error == status.last_error
    assert state_of(camera) == "running"
    assert "nobody wants to hear" not in caplog.text


def test_one_that_hangs_in_opening_is_replaced_too(supervise, hang):
    starts = []
    camera = Component("camera", hanging_first(hang, starts), backoff=QUICK, deadline_s=IMPATIENT_S)
    supervisor = supervise(camera)
    supervisor.start()
    watch_until(supervisor, lambda: len(starts) == 2 and state_of(camera) == "running")


def test_threads_left_behind_are_bounded_and_then_it_has_failed(supervise, hang):
    starts = []

    def hangs(stop, beat):
        starts.append(1)
        hang.wait()
        working(stop, beat)

    camera = Component("camera", hangs, backoff=QUICK, deadline_s=IMPATIENT_S)
    supervisor = supervise(camera)
    supervisor.start()
    watch_until(supervisor, lambda: state_of(camera) == "failed")
    assert len(starts) == STUCK_MOST + 1
    assert "hangs again and again" in camera.status().last_error
    for _ in range(3):
        supervisor.replace_stuck(time.monotonic())
    assert len(starts) == STUCK_MOST + 1
    hang.set()
    watch_until(supervisor, lambda: state_of(camera) == "running")
    assert len(starts) <= STUCK_MOST + 2


def test_a_thread_left_behind_counts_as_not_closed(supervise, hang):
    starts = []
    camera = Component("camera", hanging_first(hang, starts), backoff=QUICK, deadline_s=IMPATIENT_S)
    supervisor = supervise(camera)
    supervisor.start()
    watch_until(supervisor, lambda: len(starts) == 2 and state_of(camera) == "running")
    assert supervisor.pause(["camera"], 0.2) == ["camera"]
    assert state_of(camera) == "failed"
    hang.set()
    assert supervisor.pause(["camera"], DEADLINE_S) == []
    assert state_of(camera) == "off"


def test_one_that_is_paused_or_waits_is_not_replaced(supervise):
    def fails(stop, beat):
        raise CaptureError("gone")

    waits = Component("camera", fails, backoff=Backoff(60, 60), deadline_s=0.001)
    paused = Component("microphone", working, deadline_s=0.001)
    supervisor = supervise(waits, paused)
    assert supervisor.pause(["microphone"], 1.0) == []
    supervisor.start()
    until(lambda: state_of(waits) == "waiting")
    before = waits.status()
    time.sleep(0.01)
    supervisor.replace_stuck(time.monotonic())
    assert waits.status() == before
    assert state_of(paused) == "off"


def test_each_thread_has_a_part_of_its_own(supervise, hang):
    made, used = ["first"], []

    def make():
        made.append(f"another {len(made)}")
        return made[-1]

    def read(part, stop, beat):
        used.append(part)
        if len(used) == 1:
            hang.wait()
        beat()
        if len(used) == 2:
            raise CaptureError("unplugged")
        working(stop, beat)

    camera = Component("camera", Pool("first", make).lend(read), backoff=QUICK, deadline_s=IMPATIENT_S)
    supervisor = supervise(camera)
    supervisor.start()
    watch_until(supervisor, lambda: len(used) == 3)
    assert used == ["first", "another 1", "another 1"]
    assert Pool.of(lambda: None) is None

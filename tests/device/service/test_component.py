"""Components in real threads: they fail, come back, finish, hang, and are stopped within a deadline."""

import logging
import threading
import time

import pytest

from affectd.errors import CaptureError
from affectd.service.component import STUCK_MOST, Backoff, Component
from affectd.service.spares import Spares
from affectd.service.supervisor import Supervisor
from support.waiting import until

QUICK = Backoff(base_s=0.01, cap_s=0.05, steady_s=0.2)


def working(stop, beat):
    while not stop.is_set():
        beat()
        stop.wait(0.01)


def state_of(component):
    return component.status().state


@pytest.fixture
def supervise():
    """Make supervisors that are stopped when the test ends."""
    made = []

    def make(*components):
        made.append(Supervisor(components))
        return made[-1]

    yield make
    for supervisor in made:
        supervisor.stop(2.0)


@pytest.fixture
def hang():
    """An event that lets a hanging component go at the end of the test."""
    release = threading.Event()
    yield release
    release.set()


def test_runs_and_stops(supervise):
    worker = Component("worker", working)
    assert state_of(worker) == "off"
    supervisor = supervise(worker)
    supervisor.start()
    until(lambda: state_of(worker) == "running")
    first = worker.status()
    until(lambda: worker.status().last_progress > first.since)
    assert worker.status().since == first.since
    assert supervisor.stop(5.0) == []
    assert state_of(worker) == "off"


def test_is_starting_until_its_first_progress(supervise, hang):
    def opening(stop, beat):
        hang.wait()
        working(stop, beat)

    camera = Component("camera", opening)
    supervise(camera).start()
    until(lambda: state_of(camera) == "starting")
    assert camera.status().last_progress is None
    hang.set()
    until(lambda: state_of(camera) == "running")


def test_fails_until_it_works_again_also_while_it_is_being_tried(supervise, hang):
    attempts = []

    def slow_to_come_back(stop, beat):
        attempts.append(None)
        if len(attempts) == 1:
            raise CaptureError("gone")
        hang.wait()
        working(stop, beat)

    camera = Component("camera", slow_to_come_back, backoff=QUICK)
    assert not camera.status().failing
    supervise(camera).start()
    until(lambda: len(attempts) == 2 and state_of(camera) == "starting")
    assert camera.status().failing
    hang.set()
    until(lambda: state_of(camera) == "running")
    assert not camera.status().failing


def test_a_first_start_that_takes_its_time_has_not_failed(supervise, hang):
    def opening(stop, beat):
        hang.wait()
        working(stop, beat)

    camera = Component("camera", opening)
    supervise(camera).start()
    until(lambda: state_of(camera) == "starting")
    assert not camera.status().failing


def test_failing_is_said_once_restarted_and_recovered(supervise, caplog):
    caplog.set_level(logging.INFO)
    attempts = []

    def flaky(stop, beat):
        attempts.append(time.monotonic())
        if len(attempts) < 6:
            raise CaptureError("no camera at /dev/video9: plug one in")
        working(stop, beat)

    camera = Component("camera", flaky, backoff=QUICK)
    supervise(camera).start()
    until(lambda: state_of(camera) == "running")
    status = camera.status()
    assert status.restarts == 5
    assert status.last_error == "no camera at /dev/video9: plug one in"
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert errors == ["camera: no camera at /dev/video9: plug one in"]
    until(lambda: "camera runs again" in caplog.text)


def test_unforeseen_fault_keeps_its_traceback_for_the_debug_log(supervise, caplog):
    caplog.set_level(logging.DEBUG)

    def broken(stop, beat):
        {}["missing"]

    worker = Component("worker", broken, backoff=QUICK)
    supervise(worker).start()
    until(lambda: worker.status().restarts > 1)
    errors = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert [r.getMessage() for r in errors] == ["worker: unexpected KeyError: 'missing'"]
    assert errors[0].exc_info is None
    assert any(r.levelno == logging.DEBUG and r.exc_info for r in caplog.records)


def test_sys_exit_in_a_thread_does_not_end_it_silently(supervise):
    def leaving(stop, beat):
        raise SystemExit(3)

    worker = Component("worker", leaving, backoff=QUICK)
    supervise(worker).start()
    until(lambda: worker.status().restarts > 1)
    assert worker.status().last_error == "unexpected SystemExit: 3"


def test_waits_between_restarts(supervise):
    def failing(stop, beat):
        raise CaptureError("gone")

    camera = Component("camera", failing, backoff=Backoff(base_s=60))
    supervisor = supervise(camera)
    supervisor.start()
    until(lambda: state_of(camera) == "waiting")
    began = time.monotonic()
    assert supervisor.stop(5.0) == []
    assert time.monotonic() - began < 4


def test_backoff_grows_is_spread_and_capped():
    backoff = Backoff(base_s=0.5, cap_s=8)
    for failures, longest in [(0, 0.5), (1, 1), (3, 4), (4, 8), (5, 8), (10_000, 8)]:
        delays = {backoff.delay(failures) for _ in range(50)}
        assert longest / 2 <= min(delays) < max(delays) <= longest


def test_each_failure_in_a_row_waits_longer(supervise):
    asked = []

    class Recorded(Backoff):
        def delay(self, failures):
            asked.append(failures)
            return 0.001

    def failing(stop, beat):
        raise CaptureError("gone")

    supervise(Component("camera", failing, backoff=Recorded())).start()
    until(lambda: len(asked) >= 4)
    assert asked[:4] == [0, 1, 2, 3]


def test_backoff_starts_anew_after_steady_work(supervise):
    runs = []

    def works_then_fails(stop, beat):
        runs.append(time.monotonic())
        for _ in range(12):
            beat()
            time.sleep(0.01)
        raise CaptureError("unplugged")

    steady = Backoff(base_s=0.01, cap_s=60, steady_s=0.05)
    supervise(Component("camera", works_then_fails, backoff=steady)).start()
    until(lambda: len(runs) == 15)  # without a new start the last wait alone would be over a minute


def test_component_that_ends_by_itself_has_finished(supervise):
    clip = Component("clip", lambda stop, beat: beat())
    sound = Component("sound", working)
    worker = Component("worker", working)
    supervisor = supervise(clip, sound, worker)
    supervisor.start()
    until(lambda: state_of(clip) == "finished")
    assert state_of(sound) != "finished"
    assert clip.status().restarts == 0


def test_fault_of_a_component_that_is_not_restarted_is_kept(supervise):
    def corrupt(stop, beat):
        raise CaptureError("clip.mp4 ends in the middle of a frame")

    supervisor = supervise(Component("clip", corrupt, restart=False), Component("worker", working))
    assert supervisor.failure is None
    supervisor.start()
    until(lambda: supervisor.failure is not None)
    assert isinstance(supervisor.failure, CaptureError)
    until(lambda: supervisor.statuses()[0].state == "failed")


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
    began = time.monotonic()
    assert supervisor.stop(1.0) == ["camera"]
    assert time.monotonic() - began < 8
    assert stopped == ["publisher"]
    assert state_of(wedged) == "failed"
    assert "camera was told to stop and has not" in wedged.status().last_error


def test_stops_upstream_before_downstream(supervise):
    ended = []

    def stage(name):
        def run(stop, beat):
            working(stop, beat)
            time.sleep(0.05)
            ended.append(name)

        return Component(name, run)

    supervisor = supervise(*(stage(name) for name in ("camera", "face", "publisher")))
    supervisor.start()
    until(lambda: all(status.state == "running" for status in supervisor.statuses()))
    supervisor.stop(10.0)
    assert ended == ["camera", "face", "publisher"]


def test_pause_closes_and_resume_opens(supervise):
    devices = []

    def camera_run(stop, beat):
        devices.append("open")
        try:
            working(stop, beat)
        finally:
            devices.append("closed")

    camera, worker = Component("camera", camera_run), Component("worker", working)
    supervisor = supervise(camera, worker)
    supervisor.start()
    until(lambda: state_of(camera) == "running")
    assert supervisor.pause(["camera"], 5.0) == []
    assert devices == ["open", "closed"]
    assert state_of(camera) == "off"
    assert state_of(worker) == "running"
    supervisor.resume(["camera"])
    until(lambda: state_of(camera) == "running")
    assert devices == ["open", "closed", "open"]


def test_paused_before_the_start_never_runs(supervise):
    opened = []
    camera = Component("camera", lambda stop, beat: opened.append(1))
    supervisor = supervise(camera, Component("worker", working))
    assert supervisor.pause(["camera"], 1.0) == []
    supervisor.start()
    until(lambda: supervisor.statuses()[1].state == "running")
    assert state_of(camera) == "off"
    assert opened == []
    supervisor.resume(["camera"])
    until(lambda: state_of(camera) == "finished")
    assert opened == [1]


def test_finished_clip_is_not_played_again_by_resume(supervise):
    plays = []
    clip = Component("clip", lambda stop, beat: plays.append(1))
    supervisor = supervise(clip)
    supervisor.start()
    until(lambda: state_of(clip) == "finished")
    supervisor.pause(["clip"], 1.0)
    supervisor.resume(["clip"])
    assert state_of(clip) == "finished"
    assert plays == [1]


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


def test_while_it_tries_again_and_again_it_is_away_since_the_loss(supervise):
    attempts = []

    def works_once(stop, beat):
        attempts.append(1)
        if len(attempts) > 1:
            raise CaptureError("unplugged")
        beat()
        time.sleep(0.1)
        raise CaptureError("unplugged")

    camera = Component("camera", works_once, backoff=QUICK)
    supervise(camera).start()
    until(lambda: state_of(camera) == "waiting")
    lost_at = camera.status().since
    until(lambda: len(attempts) >= 5)
    status = camera.status()
    assert status.since == lost_at
    assert status.failing


# Those that hang.

IMPATIENT_S = 0.2


def watch_until(supervisor, condition):
    """Do as the daemon does until the condition holds."""

    def look():
        supervisor.replace_stuck(time.monotonic())
        return condition()

    until(look)


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
    worker = Component("worker", working, deadline_s=IMPATIENT_S)
    supervisor = supervise(camera, worker)
    supervisor.start()
    watch_until(supervisor, lambda: len(starts) == 2 and state_of(camera) == "running")
    status = camera.status()
    assert status.restarts == 1
    assert status.last_error.startswith("no sign of life for 0.2 s, replaced")
    assert caplog.text.count("no sign of life") == 1
    assert worker.status().restarts == 0
    hang.set()
    starts[0].join(5)
    assert not starts[0].is_alive()
    assert camera.status().last_error == status.last_error
    assert state_of(camera) == "running"
    assert "nobody wants to hear" not in caplog.text


def test_one_that_hangs_in_opening_is_replaced_too(supervise, hang):
    starts = []

    def hangs_once(stop, beat):
        starts.append(1)
        if len(starts) == 1:
            hang.wait()
        working(stop, beat)

    camera = Component("camera", hangs_once, backoff=QUICK, deadline_s=IMPATIENT_S)
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

    def hangs_once(stop, beat):
        starts.append(1)
        if len(starts) == 1:
            hang.wait()
        working(stop, beat)

    camera = Component("camera", hangs_once, backoff=QUICK, deadline_s=IMPATIENT_S)
    supervisor = supervise(camera)
    supervisor.start()
    watch_until(supervisor, lambda: len(starts) == 2 and state_of(camera) == "running")
    assert supervisor.pause(["camera"], 0.2) == ["camera"]
    assert state_of(camera) == "failed"
    hang.set()
    assert supervisor.pause(["camera"], 5.0) == []
    assert state_of(camera) == "off"


def test_one_that_is_paused_or_waits_is_not_replaced(supervise):
    def fails(stop, beat):
        raise CaptureError("gone")

    waits = Component("camera", fails, backoff=Backoff(base_s=60), deadline_s=0.001)
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

    camera = Component("camera", Spares("first", make).lend(read), backoff=QUICK, deadline_s=IMPATIENT_S)
    supervisor = supervise(camera)
    supervisor.start()
    watch_until(supervisor, lambda: len(used) == 3)
    assert used == ["first", "another 1", "another 1"]
    assert Spares.of(lambda: None) is None

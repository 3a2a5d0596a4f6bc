"""Components in real threads: they fail, come back, finish, and are paused and stopped."""

import logging
import time

from affectd.backoff import Backoff
from affectd.errors import CaptureError
from affectd.service.component import Component
from support.components import QUICK, state_of, working
from support.waiting import until


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
    assert errors == ["no camera at /dev/video9: plug one in"]  # which names it
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

    camera = Component("camera", failing, backoff=Backoff(60, 60))
    supervisor = supervise(camera)
    supervisor.start()
    until(lambda: state_of(camera) == "waiting")
    assert supervisor.stop(20.0) == []  # the wait alone would be longer


def test_each_failure_in_a_row_waits_longer(supervise):
    asked = []

    class Recorded(Backoff):
        def delay_s(self, failures):
            asked.append(failures)
            return 0.001

    def failing(stop, beat):
        raise CaptureError("gone")

    supervise(Component("camera", failing, backoff=Recorded(1, 1))).start()
    until(lambda: len(asked) >= 4)
    assert asked[:4] == [1, 2, 3, 4]


def test_backoff_starts_anew_after_steady_work(supervise):
    runs = []

    def works_then_fails(stop, beat):
        runs.append(time.monotonic())
        for _ in range(12):
            beat()
            time.sleep(0.01)
        raise CaptureError("unplugged")

    supervise(Component("camera", works_then_fails, backoff=Backoff(0.01, 60), steady_s=0.05)).start()
    until(lambda: len(runs) >= 15)  # without a new start the last wait alone would be over a minute


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

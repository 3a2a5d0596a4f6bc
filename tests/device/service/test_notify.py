"""What arrives at a real notify socket, and when the watchdog is fed."""

import os
import socket

import pytest

from affectd.service.component_status import ComponentStatus
from affectd.service.notify import Notifier, Watchdog, first_pass_made, stuck


def status(name, state, *, started_at=0.0, last_progress=None, deadline_s=None):
    return ComponentStatus(name, state, started_at, 0, None, last_progress, started_at, deadline_s)


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """The service manager's end of the socket, and the environment it gives the daemon."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        name = str(tmp_path / "notify") if request.param == "path" else f"@affectd-test-{os.getpid()}"
        server.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        server.setblocking(False)
        yield server, {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}


def received(server):
    messages = []
    while True:
        try:
            messages.append(server.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_says_each_word_of_the_protocol(manager):
    server, environment = manager
    notifier = Notifier(environment)
    notifier.extend_start(1.5)
    notifier.ready()
    notifier.status("online at\nlocalhost")
    notifier.alive()
    notifier.stopping()
    assert received(server) == [
        "EXTEND_TIMEOUT_USEC=1500000",
        "READY=1",
        "STATUS=online at localhost",
        "WATCHDOG=1",
        "STOPPING=1",
    ]
    assert notifier.watchdog_s == 20


def test_without_a_service_manager_nothing_happens():
    notifier = Notifier({})
    notifier.ready()
    assert notifier.watchdog_s is None
    Watchdog(notifier, 0.0).tick([status("camera", "failed")], 100.0)


def test_manager_that_went_away_is_no_fault(tmp_path):
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()


def test_watchdog_of_another_process_is_not_ours():
    assert Notifier({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}).watchdog_s is None


@pytest.mark.parametrize(
    ("state", "started_at", "last_progress", "is_stuck"),
    [
        ("running", 5.0, 11.0, False),
        ("running", 5.0, 9.0, True),
        ("starting", 11.0, None, False),
        ("starting", 5.0, None, True),
        ("waiting", 5.0, 6.0, False),
        ("off", 5.0, 6.0, False),
        ("finished", 5.0, 6.0, False),
        ("failed", 11.0, 11.0, True),
    ],
)
def test_who_is_stuck(state, started_at, last_progress, is_stuck):
    found = stuck([status("camera", state, started_at=started_at, last_progress=last_progress)], 10.0)
    assert found == (["camera"] if is_stuck else [])


@pytest.mark.parametrize(
    ("camera", "fusion", "made"),
    [
        (status("camera", "running", last_progress=1.0), status("fusion", "starting"), False),
        (status("camera", "starting"), status("fusion", "running", last_progress=1.0), False),
        (status("camera", "running", last_progress=1.0), status("fusion", "running", last_progress=1.0), True),
        (status("camera", "waiting"), status("fusion", "running", last_progress=1.0), True),
        (status("camera", "off"), status("fusion", "running", last_progress=1.0), True),
        (status("camera", "finished"), status("fusion", "finished"), True),
        (status("camera", "off"), status("fusion", "waiting"), False),
    ],
)
def test_when_the_first_pass_is_made(camera, fusion, made):
    assert first_pass_made([camera, fusion], 5.0) is made


def test_a_camera_that_takes_long_to_deliver_does_not_hold_up_the_first_pass():
    fusion = status("fusion", "running", last_progress=1.0)
    assert not first_pass_made([status("camera", "starting", started_at=1.0), fusion], 10.0)
    assert first_pass_made([status("camera", "starting", started_at=1.0), fusion], 12.0)


def test_what_the_supervisor_replaces_is_stuck_only_when_it_gave_up():
    silent = {"last_progress": 1.0, "deadline_s": 60.0}
    assert stuck([status("camera", "running", **silent)], 10.0) == []
    assert stuck([status("camera", "failed", **silent)], 10.0) == ["camera"]


def test_a_sentence_is_sent_when_it_is_another(manager):
    server, environment = manager
    notifier = Notifier(environment)
    for sentence in ("a", "a", "b", "a"):
        notifier.status(sentence)
    assert received(server) == ["STATUS=a", "STATUS=b", "STATUS=a"]


def test_watchdog_is_fed_only_while_all_move(manager, caplog):
    server, environment = manager
    watchdog = Watchdog(Notifier(environment), 0.0)

    def tick(now, camera, publisher):
        statuses = [
            status("camera", "running", last_progress=camera),
            status("publisher", "running", last_progress=publisher),
        ]
        watchdog.tick(statuses, now)
        return received(server)

    assert tick(9.0, 8.9, 8.9) == []  # not half of the 20 s yet
    assert tick(10.0, 9.9, 9.9) == ["WATCHDOG=1"]
    assert tick(20.0, 19.9, 9.95) == []
    assert tick(21.0, 20.9, 9.95) == []
    assert caplog.text.count("publisher made no progress") == 1
    assert tick(22.0, 21.9, 21.9) == ["WATCHDOG=1"]

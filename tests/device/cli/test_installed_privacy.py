"""The installed service's privacy holds for whoever calls: no command opens camera or microphone against it."""

import os
import subprocess
import time

import pytest

from support.broker import Listener
from support.installed_box import NORMAL_USER, InstalledBox
from support.stream_server import StreamServer
from support.waiting import until

CLOSED = "camera and microphone stay closed"
COMMANDS = {
    "preview": ("preview", "--port", "0"),
    "demo --camera": ("demo", "--camera"),
    "demo --microphone": ("demo", "--microphone"),
}


@pytest.fixture
def camera():
    with StreamServer() as server:
        yield server


@pytest.fixture
def box(tmp_path, camera, face_model):
    box = InstalledBox(tmp_path / "box")
    (tmp_path / "box").mkdir()
    models = f'models = "{face_model.bundle.parent}"\nface = "{face_model.bundle.name}"\nvoice = "off"\n'
    box.install(f'[camera]\nsource = "{camera.url}"\n[microphone]\nsource = "off"\n[inference]\n{models}')
    return box


def mine(box, camera, face_model, **more):
    """Settings of the caller's own, in the environment: the camera is there, and privacy is off."""
    return {
        "AFFECTD_CAMERA_SOURCE": camera.url,
        "AFFECTD_MICROPHONE_SOURCE": "off",
        "AFFECTD_INFERENCE_MODELS": str(face_model.bundle.parent),
        "AFFECTD_INFERENCE_FACE": face_model.bundle.name,
        "AFFECTD_INFERENCE_VOICE": "off",
        "AFFECTD_OUTBOX_PATH": str(box.environment()["HOME"] + "/outbox.db"),
        **more,
    }


def refused(ended: subprocess.CompletedProcess, camera, *reasons: str) -> None:
    assert (ended.returncode, camera.sent) == (5, 0), ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("affectd: ")
    for reason in (CLOSED, *reasons):
        assert reason in last
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("own_settings", [False, True])
def test_nothing_is_opened_while_the_service_has_privacy_on(command, own_settings, box, camera, face_model):
    box.say("on")
    environ = mine(box, camera, face_model) if own_settings else {}
    ended = box.run(
        *COMMANDS[command], *(["--no-config"] if own_settings and command == "preview" else []), environ=environ
    )
    refused(ended, camera, "the last command was 'on' (/var/lib/affectd/privacy)")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ('[outbox]\npath = "/var/lib/affectd/elsewhere/events.db"\n', "/var/lib/affectd/elsewhere/privacy"),
        ("[privacy]\nstart_on = true\n", "privacy.start_on is true"),
        ('[privacy]\nswitch_file = "/var/lib/affectd/switch"\n', "the switch /var/lib/affectd/switch says 1"),
        ('[privacy]\nswitch_file = "/var/lib/affectd/gone"\n', "/var/lib/affectd/gone cannot be read"),
        ("[camera]\nfps = 0\n", "camera.fps"),
        ("no TOML", "not valid TOML"),
    ],
)
def test_whatever_holds_it_on_for_the_service_counts(settings, reason, tmp_path, camera, face_model):
    box = InstalledBox(tmp_path / "box")
    (tmp_path / "box").mkdir()
    box.install(settings)
    (box.state / "elsewhere").mkdir()
    (box.state / "elsewhere" / "privacy").write_text("on\n")
    (box.state / "switch").write_text("1\n")
    ended = box.run("preview", "--port", "0", "--no-config", environ=mine(box, camera, face_model))
    refused(ended, camera, reason)


@pytest.mark.parametrize("command", [("preview", "--port", "0", "--no-config"), ("demo", "--camera"), ("run",)])
def test_a_user_who_cannot_tell_is_refused_and_told_how_to_call(command, box, camera, face_model):
    box.say("off")
    ended = box.run(*command, user=NORMAL_USER, environ=mine(box, camera, face_model))
    refused(ended, camera, "/var/lib/affectd/privacy cannot be read (Permission denied)", "sudo -u affectd affectd")


def test_settings_that_the_user_may_not_read_are_not_passed_over(box, camera, face_model):
    os.chown(box.settings, 1, 1)
    box.settings.chmod(0o640)
    ended = box.run("preview", "--port", "0", user=NORMAL_USER)
    assert ended.returncode == 3
    assert (
        "/etc/affectd/affectd.toml: cannot be read: Permission denied; call affectd as the service's user (sudo"
        in ended.stderr
    )
    environ = mine(box, camera, face_model)
    refused(
        box.run("preview", "--port", "0", "--no-config", user=NORMAL_USER, environ=environ), camera, "sudo -u affectd"
    )


@pytest.mark.parametrize("installed", [False, True])
def test_the_own_privacy_counts_too(installed, box, tmp_path, camera, face_model):
    if not installed:
        box = InstalledBox(tmp_path / "bare")
        (tmp_path / "bare").mkdir()
    environ = mine(box, camera, face_model, AFFECTD_PRIVACY_START_ON="true")
    arguments = ["preview", "--port", "0", "--no-config"]
    refused(box.run(*arguments, environ=environ), camera, "privacy.start_on is true")


def test_check_opens_nothing_either(box, camera, face_model):
    box.say("on")
    for arguments in (["check"], ["check", "--no-config"]):
        ended = box.run(*arguments, environ=mine(box, camera, face_model))
        (row,) = [line for line in ended.stdout.splitlines() if " camera " in line]
        assert "privacy is on: not opened" in row
    ended = box.run("check", "--no-config", user=NORMAL_USER, environ=mine(box, camera, face_model))
    assert ended.returncode == 5
    assert "FAILED   camera       camera and microphone stay closed" in ended.stdout
    assert camera.sent == 0


@pytest.mark.parametrize("command", ["preview", "demo"])
def test_switching_it_on_ends_a_command_that_looks(command, box, camera, face_model):
    box.say("off")
    environ = mine(box, camera, face_model)
    if command == "demo":  # its camera is the first there is
        environ["AFFECTD_PRIVACY_SWITCH_FILE"] = "/var/lib/affectd/switch"
        (box.state / "switch").write_text("0")
        looking = box.start("demo", "--camera", environ=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert "camera: auto" in looking.stdout.readline()
    else:
        looking = box.start("preview", "--port", "0", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until(lambda: camera.sent or looking.poll() is not None, 60)
        assert camera.sent
    box.say("on")
    _, errors = looking.communicate(timeout=60)
    assert looking.returncode == 5, errors
    assert "the last command was 'on' (/var/lib/affectd/privacy)" in errors.splitlines()[-1]


def test_a_daemon_started_by_hand_closes_while_the_service_has_privacy_on(box, broker, camera, face_model):
    box.say("on")
    root = "affectd/hand"
    environ = mine(
        box,
        camera,
        face_model,
        AFFECTD_MQTT_PORT=str(broker.port),
        AFFECTD_DEVICE_ID="hand",
        AFFECTD_MQTT_HEALTH_S="1",
    )
    with Listener(broker, f"{root}/#") as listener:
        daemon = box.start("run", environ=environ, stderr=subprocess.DEVNULL)
        try:
            listener.wait_for(lambda _: [m.payload for m in listener.on(f"{root}/privacy")] == [b"on"], 60)
            listener.publish(f"{root}/command/privacy", "off")
            listener.wait_for(
                lambda _: any("'off' is refused: the service on" in str(m.json) for m in listener.on(f"{root}/health")),
                60,
            )
            assert camera.sent == 0
            box.say("off")
            until(lambda: camera.sent, 60)
            box.say("on")
            listener.wait_for(lambda _: listener.on(f"{root}/privacy")[-1].payload == b"on", 60)
        finally:
            daemon.terminate()
            daemon.wait(40)


def test_the_service_itself_obeys_commands_as_before(box, broker, camera, face_model):
    box.say("on")
    root = "affectd/box"
    environ = {
        "STATE_DIRECTORY": "/var/lib/affectd",
        "AFFECTD_MQTT_PORT": str(broker.port),
        "AFFECTD_DEVICE_ID": "box",
    }
    with Listener(broker, f"{root}/#") as listener:
        daemon = box.start("run", "--config", "/etc/affectd/affectd.toml", environ=environ, stderr=subprocess.DEVNULL)
        try:
            listener.wait_for(lambda _: [m.payload for m in listener.on(f"{root}/privacy")] == [b"on"], 60)
            time.sleep(0.5)
            assert camera.sent == 0
            listener.publish(f"{root}/command/privacy", "off")
            until(lambda: camera.sent, 60)
            assert box.privacy.read_text() == "off\n"
        finally:
            daemon.terminate()
            daemon.wait(40)


def test_a_clip_of_the_callers_own_plays_whatever_the_service_says(box, tmp_path, face_model):
    from support.media import write_clip
    from support.scenes import scene

    box.say("on")
    clip = write_clip(tmp_path / "clip.mp4", frames=[scene((320, 240, 150))] * 20)
    environ = {
        "AFFECTD_INFERENCE_MODELS": str(face_model.bundle.parent),
        "AFFECTD_INFERENCE_FACE": face_model.bundle.name,
        "AFFECTD_INFERENCE_VOICE": "off",
    }
    for user in ((), NORMAL_USER):
        ended = box.run("run", "--clip", str(clip), user=user, environ=environ)
        assert ended.returncode == 0, ended.stderr
        assert "privacy is" not in ended.stderr

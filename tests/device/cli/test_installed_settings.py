"""`check`, `listen` and `preview` on a box with the service installed: its settings, and nothing left behind."""

import json
import subprocess

import pytest

from device.cli.test_listen import event
from support.broker import Listener, Mosquitto
from support.installed_box import NORMAL_USER, ROOT, SERVICE_UID, InstalledBox
from support.waiting import until

SAID = "affectd: settings: /etc/affectd/affectd.toml (without them: --no-config)\n"
OFF = '[camera]\nsource = "off"\n[microphone]\nsource = "off"\n[inference]\nface = "off"\nvoice = "off"\n'


@pytest.fixture
def box(tmp_path):
    (tmp_path / "box").mkdir()
    return InstalledBox(tmp_path / "box")


@pytest.fixture
def secret_broker(tmp_path):
    with Mosquitto(tmp_path, user="kiosk", password="right") as broker:
        yield broker


def finding(ended, part):
    return next(found for found in json.loads(ended.stdout) if found["part"] == part)


def mqtt(broker, more=""):
    return f'{OFF}[mqtt]\nhost = "localhost"\nport = {broker.port}\n{more}'


def test_listen_takes_the_installed_settings_and_says_so_beside_its_output(box, broker):
    box.install(mqtt(broker, 'base_topic = "shop"\n'))
    with Listener(broker, "unused") as sender:
        sender.publish("shop/hall/event", event(7), retain=True)
        ended = box.run("listen", "--json", "--count", "1")
    assert (ended.returncode, ended.stderr) == (0, SAID)
    assert json.loads(ended.stdout)["topic"] == "shop/hall/event"


@pytest.mark.parametrize("command", ["check", "listen", "preview"])
def test_without_a_service_or_with_no_config_nothing_is_said(command, box, broker):
    arguments = {"check": ["--json"], "listen": ["--for", "0.1"], "preview": ["--port", "0"]}[command]
    environ = {
        "AFFECTD_MQTT_PORT": str(broker.port),
        "AFFECTD_CAMERA_SOURCE": "off",
        "AFFECTD_MICROPHONE_SOURCE": "off",
    }
    bare = box.run(command, *arguments, environ=environ)
    assert "settings" not in bare.stderr
    box.install("[mqtt]\nport = 1\n")
    without = box.run(command, *arguments, "--no-config", environ=environ)
    assert (without.returncode, without.stderr) == (bare.returncode, bare.stderr)


def test_the_command_line_wins_over_the_installed_settings_and_a_named_file_replaces_them(box, broker, tmp_path):
    box.install("[mqtt]\nport = 1\n")
    ended = box.run("listen", "--for", "0.1", "--port", str(broker.port))
    assert (ended.returncode, ended.stderr) == (0, SAID)
    other = tmp_path / "other.toml"
    other.write_text(mqtt(broker))
    ended = box.run("listen", "--for", "0.1", "--config", str(other))
    assert (ended.returncode, ended.stderr) == (0, "")
    ended = box.run("listen", "--no-config", "--config", str(other))
    assert ended.returncode == 2


@pytest.mark.parametrize("command", ["check", "listen", "preview"])
def test_installed_settings_that_may_not_be_read_are_one_sentence_and_no_guess(command, box):
    box.install(OFF)
    box.settings.chmod(0)
    ended = box.run(command, user=NORMAL_USER)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert (
        "cannot be read: Permission denied; call affectd as the service's user (sudo -u affectd affectd ...) or as root"
        in ended.stderr
    )
    assert "--no-config" in ended.stderr


def test_a_wrong_installed_file_is_told_as_any_other(box):
    box.install("[mqtt]\nport = 0\n")
    ended = box.run("check")
    assert ended.returncode == 3
    assert "/etc/affectd/affectd.toml, line 2: mqtt.port = 0: must be" in ended.stderr


def test_check_takes_the_password_that_systemd_hands_the_service_where_it_can(box, secret_broker):
    box.install(mqtt(secret_broker, 'username = "kiosk"\n'))
    box.password.write_text("right\n")
    ended = box.run("check", "--json")
    assert ended.returncode == 0, ended.stdout
    assert "as kiosk (password from /etc/affectd/mqtt-password)" in finding(ended, "broker")["found"]
    assert box.run("listen", "--for", "0.1").returncode == 0
    other = box.run("listen", "--for", "0.1", "--host", "localhost")
    assert other.returncode == 6, "the password was sent to a host of the command line"


@pytest.mark.parametrize(
    ("user", "password", "why"),
    [(NORMAL_USER, "right", "is not for this user to read"), (ROOT, "", "is empty")],
)
def test_check_says_where_it_looked_for_a_password(user, password, why, box, secret_broker):
    box.install(mqtt(secret_broker, 'username = "kiosk"\n'))
    box.password.write_text(password)
    if user:
        box.give_away(box.password)
    ended = box.run("check", "--json", user=user)
    found = finding(ended, "broker")
    assert (found["state"], found["exit_code"]) == ("failed", 6)
    assert f"/etc/affectd/mqtt-password {why}" in found["advice"]
    assert "no systemd credential" in found["advice"]


@pytest.mark.parametrize("user", [ROOT, NORMAL_USER])
@pytest.mark.parametrize("installed", [False, True])
def test_check_leaves_nothing_behind(user, installed, box, broker):
    # A sound server's library would keep a file of its own in the home folder.
    environ = {"AFFECTD_MQTT_PORT": str(broker.port), "AFFECTD_MICROPHONE_SOURCE": "off"}
    if installed:
        box.install(mqtt(broker))
    before = box.everything()
    ended = box.run("check", "--json", user=user, environ=environ)
    assert box.everything() == before
    found = finding(ended, "outbox")
    if installed and user == NORMAL_USER:
        assert (found["state"], found["exit_code"]) == ("failed", 7)
        assert "/var/lib/affectd/outbox.db: cannot be written: Permission denied" in found["found"]
    else:
        place = (
            "/var/lib/affectd/outbox.db" if installed else f"{box.environment()['HOME']}/.local/state/affectd/outbox.db"
        )
        assert found["state"] == "ok"
        assert found["found"] == f"{place}: not there yet; affectd run makes it, and its folder takes it"


def test_check_looks_at_an_outbox_that_a_killed_service_left_and_changes_nothing(box, broker, tmp_path):
    box.install(mqtt(broker))
    fill = (
        "import os, sys\nfrom pathlib import Path\nfrom affectd.store.outbox import Outbox\n"
        "outbox = Outbox(Path(sys.argv[1]), max_events=100, max_bytes=10**6)\n"
        "for _ in range(7): outbox.append(lambda seq, name: b'{}')\n"
        "os._exit(0)\n"
    )
    box.python("-c", fill, str(box.state / "outbox.db"))
    assert (box.state / "outbox.db-wal").stat().st_size > 0
    for file in box.state.iterdir():
        box.give_away(file)
    before = box.everything()
    ended = box.run("check", "--json")
    assert finding(ended, "outbox")["found"] == "/var/lib/affectd/outbox.db: 7 events waiting, 0 dropped so far"
    assert box.everything() == before
    assert {owner for name, (owner, _, _) in before.items() if "/lib/" in name} == {SERVICE_UID}


def test_check_of_a_damaged_outbox_says_what_will_become_of_it(box, broker):
    box.install(mqtt(broker))
    (box.state / "outbox.db").write_bytes(b"\x55" * 8192)
    before = box.everything()
    ended = box.run("check", "--json")
    assert finding(ended, "outbox")["state"] == "failed"
    assert "damaged" in finding(ended, "outbox")["found"]
    assert box.everything() == before


def test_check_beside_a_running_daemon_says_who_has_the_outbox(box, broker):
    box.install(mqtt(broker))
    environ = {
        "STATE_DIRECTORY": "/var/lib/affectd",
        "AFFECTD_MICROPHONE_SOURCE": "default",
        "AFFECTD_INFERENCE_VOICE": "voice-cnn-lstm",
    }
    daemon = box.start("run", "--config", "/etc/affectd/affectd.toml", environ=environ, stderr=subprocess.DEVNULL)
    try:
        until((box.state / "outbox.db").exists, 60)
        ended = box.run("check", "--json")
    finally:
        daemon.terminate()
        daemon.wait(40)
    assert finding(ended, "outbox")["state"] == "ok"
    assert f"in use by process {daemon.pid}" in finding(ended, "outbox")["found"]

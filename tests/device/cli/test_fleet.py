"""`affectd fleet` and `affectd forget` as processes, on a real broker that keeps what boxes said."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from affectd.cli.fleet.row import SILENT, make_row
from affectd.cli.fleet.table import Screen
from affectd.publish import schema_bundle
from support.broker import Listener, Mosquitto, free_port

COMMAND = (sys.executable, "-m", "affectd.cli.main")
EXAMPLES = {kind: schema_bundle.message_schema(kind)["examples"][0] for kind in ("state", "people", "info", "health")}
OPERATOR = """\
user operator
topic read affectd/+/+
topic read homeassistant/device/+/config
"""
RIGHTS = """\
user operator
topic readwrite affectd/+/#
topic readwrite homeassistant/device/+/config
"""
EVERYTHING = "topic readwrite #\n"


def affectd(port, command, *arguments, **options):
    whole = [*COMMAND, command, *arguments, "--host", "localhost", "--port", str(port)]
    return subprocess.run(
        whole, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL, **options
    )


def publish_box(sender, box, *, online="online", base="affectd", **health):
    sender.publish(f"{base}/{box}/availability", online, retain=True)
    for kind, example in EXAMPLES.items():
        document = {**example, "device": box, **(health if kind == "health" else {})}
        sender.publish(f"{base}/{box}/{kind}", json.dumps(document), retain=True)


def topics_kept(broker, pattern):
    with Listener(broker, pattern, "end") as listener:
        listener.publish("end", "")  # which comes after all that was kept
        listener.wait_for(lambda _: listener.on("end"))
        return sorted({message.topic for message in listener.messages if message.retain})


def test_a_row_for_each_of_twenty_boxes_those_in_need_first(broker):
    with Listener(broker, "unused") as sender:
        for number in range(20):
            publish_box(sender, f"box-{number:02}", status="ok", problem=None, components={})
        publish_box(sender, "box-07", status="degraded", problem="camera: gone", outbox_waiting=3)
        publish_box(sender, "box-11", online="offline")
    ended = affectd(broker.port, "fleet", "--json", "--for", "5")
    assert (ended.returncode, ended.stderr) == (0, "")
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [row["box"] for row in rows[:3]] == ["box-07", "box-11", "box-00"]
    assert len(rows) == 20
    degraded, offline, well = rows[:3]
    assert degraded["since"] == EXAMPLES["health"]["components"]["camera"]["since"]
    assert (degraded["problem"], degraded["waiting"]) == ("camera: gone", 3)
    assert (offline["status"], offline["emotion"], offline["people"]) == ("offline", None, None)
    assert (well["status"], well["emotion"], well["people"], well["version"]) == ("ok", "happy", 1, "0.1.0")
    assert well["since"] == "2026-11-22T07:02:39.574Z"  # health's time less its uptime

    table = affectd(broker.port, "fleet", "--for", "5").stdout.splitlines()
    assert table[0] == "20 boxes: 1 degraded, 1 offline, 18 ok"
    assert "camera: gone" in table[2]
    assert len(table) == 22


def test_a_terminal_shows_a_change_and_writes_no_other_line(broker):
    with Listener(broker, "unused") as sender:
        for number in range(3):
            publish_box(sender, f"box-{number}", status="ok", problem=None)
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(COMMAND[0], [*COMMAND, "fleet", "--host", "localhost", "--port", str(broker.port), "--for", "40"])
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
        read_until(terminal, "box-2")
        sender.publish("affectd/box-1/state", json.dumps({**EXAMPLES["state"], "emotion": "sad"}), retain=True)
        written = read_until(terminal, "sad")
        assert "box-1" in written
        assert "box-2" not in written.partition("sad")[2]
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    os.close(terminal)


def read_until(terminal, text):
    written = ""
    while text not in written:
        written += os.read(terminal, 65536).decode()
    return written


def test_only_lines_that_differ_are_drawn_and_what_has_no_room_is_counted():
    screen = Screen()
    assert "two" in screen.draw(["one", "two"], 80, 24)
    again = screen.draw(["one", "three"], 80, 24)
    assert "three" in again
    assert "one" not in again
    assert screen.draw(["one", "three"], 80, 24) == ""
    assert "... and 7 more" in Screen().draw([str(n) for n in range(10)], 80, 5)


@pytest.mark.parametrize("foreign", [None, 7, [1], "x", {"status": 3, "components": [1], "time": "soon", "count": "2"}])
def test_foreign_documents_are_no_fault(foreign):
    said = {"availability": "online", "info": foreign, "health": foreign, "state": foreign, "people": foreign}
    row = make_row("box", said)
    assert (row.status, row.people, row.since) == (SILENT, None, None)


def test_fleet_without_a_broker_ends_with_6():
    assert affectd(free_port(), "fleet", "--for", "5").returncode == 6


def test_forget_clears_all_of_the_box_and_nothing_else(broker):
    with Listener(broker, "unused") as sender:
        publish_box(sender, "gone", online="offline")
        sender.publish("affectd/gone/command/privacy", "on", retain=True)
        sender.publish("homeassistant/device/gone/config", "{}", retain=True)
        publish_box(sender, "gone-too", online="offline")
    asked = affectd(broker.port, "forget", "gone")
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    assert len(topics_kept(broker, "#")) == 12
    ended = affectd(broker.port, "forget", "gone", "--yes")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.count("\ncleared  ") == 7
    assert topics_kept(broker, "#") == topics_kept(broker, "affectd/gone-too/#")
    assert "keeps nothing" in affectd(broker.port, "forget", "gone", "--yes").stdout


def test_forget_leaves_a_box_that_is_online_unless_forced(broker):
    with Listener(broker, "unused") as sender:
        publish_box(sender, "alive")
    ended = affectd(broker.port, "forget", "alive", "--yes")
    assert ended.returncode == 2
    assert "online" in ended.stderr
    assert len(topics_kept(broker, "#")) == 5
    assert affectd(broker.port, "forget", "alive", "--yes", "--force").returncode == 0
    assert topics_kept(broker, "#") == []


@pytest.mark.parametrize("box", ["+", "#", "a/b", ""])
def test_forget_takes_no_wildcard(broker, box):
    assert affectd(broker.port, "forget", box, "--yes").returncode == 2


def test_forget_says_what_the_rules_refuse_and_the_rights_it_prints_suffice(tmp_path):
    password = tmp_path / "password"
    password.write_text("right\n")
    login = ("--username", "operator", "--password-file", str(password))
    with Mosquitto(tmp_path, user="operator", password="right", acl=OPERATOR) as broker:
        broker.change_acl(EVERYTHING + "user operator\n" + EVERYTHING)
        with Listener(broker, "unused") as sender:
            publish_box(sender, "gone", online="offline")
            sender.publish("homeassistant/device/gone/config", "{}", retain=True)
        broker.change_acl(OPERATOR)
        refused = affectd(broker.port, "forget", "gone", "--yes", *login)
        assert refused.returncode == 6
        assert refused.stderr.count("\n") == 1
        assert "affectd/gone/state (Not authorized)" in refused.stderr
        for right in RIGHTS.splitlines()[1:]:
            assert right in refused.stderr
        broker.change_acl(RIGHTS)
        ended = affectd(broker.port, "forget", "gone", "--yes", *login)
        assert (ended.returncode, ended.stderr) == (0, "")

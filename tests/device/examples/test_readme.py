"""What README shows to who builds on the messages: run word for word, and with messages from a time to come."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb

from affectd.events import LABELS
from affectd.publish.schema_bundle import message_schema
from e2e.program import command, environment
from support.broker import Listener, Mosquitto
from support.waiting import until

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
(EVENT,) = message_schema("event")["examples"]


def event(seq: int, emotion: str | None = "happy", device: str = "kiosk") -> str:
    """Make an event that has gained fields, outside and within."""
    reason, confidence = ("shown", 0.9) if emotion else ("nobody", 0.0)
    face = {**EVENT["face"], "glasses": True}
    told = {"emotion": emotion, "reason": reason, "confidence": confidence, "device": device, "face": face}
    return json.dumps({**EVENT, **told, "id": f"be445e6b-{seq}", "seq": seq, "mood": {"new": [1]}})


def test_the_subscriber_works_word_for_word(broker: Mosquitto) -> None:
    (program,) = re.findall(r"### A subscriber\n\n```python\n(.*?)```", README, re.DOTALL)
    here = program.replace('client.connect("localhost")', f'client.connect("localhost", {broker.port})')
    assert here != program
    subscriber = [sys.executable, "-u", "-c", here]

    def run(last: str, publish: list[str]) -> list[str]:
        """Run it until it prints a line with this end, with these events published once it has subscribed."""
        before, printed = broker.log.count("Sending SUBACK to robot-1"), [""]
        with subprocess.Popen(subscriber, stdout=subprocess.PIPE, text=True) as process:
            until(lambda: broker.log.count("Sending SUBACK to robot-1") > before)
            for payload in publish:
                sender.publish("affectd/kiosk/event", payload)
            assert process.stdout is not None
            while not printed[-1].endswith(last):
                printed.append(process.stdout.readline())
                assert printed[-1], "it ended"
            process.kill()
        return printed[1:]

    with Listener(broker, "unused") as sender:
        sender.publish("affectd/kiosk/novelty", "{}")
        printed = run("None\n", [event(1), event(1), event(2, None)])
        assert printed == [f"{EVENT['time']} kiosk None -> {shown}\n" for shown in ("happy", "None")]
        # What comes while it is away is kept for it; what it had no time to acknowledge may come again before.
        sender.publish("affectd/kiosk/event", event(3, "sad"))
        assert len(run("-> sad\n", [])) <= 3


def test_the_table_is_as_readme_has_it(broker: Mosquitto, tmp_path: Path) -> None:
    ((arguments, file, query),) = re.findall(
        r"\naffectd (listen --json --topic event) --for 3600 > (\S+)\nduckdb -c \"(.*?)\"\n", README, re.DOTALL
    )
    listen = command(*arguments.split(), "--count", "5", "--host", broker.host, "--port", str(broker.port))
    with (
        Listener(broker, "unused") as sender,
        (tmp_path / file).open("w") as lines,
        subprocess.Popen(listen, stdout=lines, env=environment()) as process,
    ):
        until(lambda: re.search(r"affectd/\+/event.*\n.*Sending SUBACK", broker.log))
        sender.publish("affectd/kiosk/novelty", "{}")
        for seq, emotion in ((1, "happy"), (2, None), (3, "happy"), (3, "happy")):
            sender.publish("affectd/kiosk/event", event(seq, emotion))
        sender.publish("affectd/door/event", event(9, "sad", "door"))
        assert process.wait(60) == 0
    found = duckdb.sql(query.replace(file, str(tmp_path / file))).fetchall()
    assert sorted(found, key=str) == [("door", "sad", 1), ("kiosk", "happy", 2), ("kiosk", None, 1)]


def test_what_is_new_is_shown_by_those_who_do_not_know_it(broker: Mosquitto) -> None:
    with Listener(broker, "unused") as sender:
        for kind in ("state", "people", "health", "info"):
            example = message_schema(kind)["examples"][0]
            sender.publish(f"affectd/kiosk/{kind}", json.dumps({**example, "mood": {"new": [1]}}), retain=True)
        sender.publish("affectd/kiosk/novelty", "\x00", retain=True)
        sender.publish("affectd/kiosk/availability", "online", retain=True)
        options = ("--host", broker.host, "--port", str(broker.port))
        listen = subprocess.run(command("listen", "--for", "2", *options), capture_output=True, text=True, check=True)
        assert "not affectd's" not in listen.stdout
        assert "happy" in listen.stdout
        fleet = subprocess.run(command("fleet", "--json", *options), capture_output=True, text=True, check=True)
        row = json.loads(fleet.stdout)
        assert row["emotion"] == "happy"


# The constants of hri_msgs/Expression for the emotions that affectd knows.
HRI_EXPRESSIONS = {"neutral", "angry", "sad", "happy", "surprised", "disgusted", "scared"}


def test_the_ros_bridge_maps_every_emotion_and_every_box() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "device" / "examples" / "ros2.md").read_text(), re.DOTALL)
    bridge: dict[str, Any] = {}
    exec(program, bridge)
    told = [bridge["expression_fields"]({"emotion": name, "confidence": 0.5}) for name in LABELS]
    assert {fields["expression"] for fields in told} == HRI_EXPRESSIONS
    assert bridge["expression_fields"]({"emotion": None, "confidence": 0.0}) is None
    assert re.fullmatch(r"[A-Za-z_]\w*", bridge["face_id"]("0e445e6b-12"))  # part of a ROS 2 name
    region = bridge["region_fields"]([0.75, 0.25, 0.5, 0.25], 0.9)
    assert region == {"xmin": 0.75, "ymin": 0.25, "xmax": 1.0, "ymax": 0.5, "c": 0.9}


def test_the_node_red_flow_is_wired_and_names_this_machine_alone() -> None:
    nodes = json.loads((ROOT / "device" / "examples" / "node-red-flow.json").read_text())
    ids = {node["id"] for node in nodes}
    assert len(ids) == len(nodes)
    for node in nodes:
        assert all(target in ids for output in node.get("wires", []) for target in output)
        assert node.get("z", node["id"]) in ids
    assert [(node["broker"], node["port"]) for node in nodes if node["type"] == "mqtt-broker"] == [
        ("localhost", "1883")
    ]
    assert not re.search(r"\b\d{1,3}(\.\d{1,3}){3}\b|://", json.dumps(nodes))

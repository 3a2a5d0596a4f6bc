"""Show two boxes to a real Home Assistant Core and judge what it shows: called by scripts/prove-home-assistant."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from affectd.service.health import temperature_c
from e2e.program import CLIP, Affectd
from support.broker import Mosquitto, free_port
from support.scenes import scene
from support.stream_server import VARIANTS, StreamServer

CONFIGURATION = """\
http:
  server_host: 127.0.0.1
  server_port: {port}
api:
config:
onboarding:
logger:
  default: warning
automation:
  - alias: {{happy}}
    mode: parallel
    triggers:
      - trigger: state
        entity_id: sensor.affectd_kiosk_emotion
        to: happy
    actions:
      - event: somebody_is_happy
""".replace("{{happy}}", "Somebody is happy")
ABOUT_US = ("mqtt", "affectd", "template")
"""Words in lines of the log that may be about a box; the rest is about what the bare environment lacks."""
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
}
"""At its first start Home Assistant installs what its integrations need."""
CLIENT = "http://127.0.0.1/"
PATIENCE_S = 60.0
SHOWN = (
    "device_class",
    "unit_of_measurement",
    "state_class",
    "icon",
    "problem",
    "event_type",
    "options",
    "event_types",
)
"""Attributes in the table; of lists, how many there are."""


class Room(StreamServer):
    """A camera on the network before which somebody stands, or nobody."""

    somebody = True

    def _parts(self) -> Iterator[bytes]:
        for number in itertools.count():
            picture = _picture(self.somebody, number % VARIANTS)
            yield f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
            yield picture + b"\r\n"


@cache
def _picture(somebody: bool, variant: int) -> bytes:
    noise = np.random.default_rng(variant).integers(0, 6, (480, 640, 3), np.uint8)
    faces = [(320.0, 220.0, 170.0)] if somebody else []
    return cv2.imencode(".jpg", cv2.add(scene(*faces), noise))[1].tobytes()


class HomeAssistant:
    """A Home Assistant Core in the tree, and everything that it says over its own interfaces."""

    def __init__(self, tree: Path) -> None:
        self.port = free_port()
        self._tree, self._folder = tree, tree / "config"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        (self._folder / "configuration.yaml").write_text(CONFIGURATION.format(port=self.port))
        self._token = ""
        self._socket: ClientConnection | None = None
        self._ids = itertools.count(1)
        self._answers: dict[int, Any] = {}
        self.states: dict[str, dict[str, Any]] = {}
        """The newest state by entity."""
        self.changes: list[tuple[str, str | None]] = []
        """Entity and its new state, None when it was removed: every change of a state or an attribute, in order."""
        self.happy = 0
        """Times that the automation ran."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """Everything it has logged."""
        return (self._tree / "hass.log").read_text()

    def start(self) -> None:
        """Start it, listen to it from its first answer on, and wait until it has started."""
        command = ["chroot", str(self._tree), "/opt/ha/bin/hass", "-c", "/config"]
        with (self._tree / "hass.log").open("ab") as log:
            self._process = subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=log)
        until(self._answering, 600, "Home Assistant answers")
        if not self._token:
            self._onboard()
        self._listen()
        # Its automations wait for that.
        until(lambda: self._ask("get_config")["state"] == "RUNNING", 300, "Home Assistant has started")

    def stop(self) -> None:
        """End it in order; harmless when it does not run."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(120)
            self._process = None

    def add_broker(self, broker: Mosquitto) -> None:
        """Set up its MQTT integration as a user does."""
        flow = self._rest("config/config_entries/flow", {"handler": "mqtt", "show_advanced_options": False})
        if flow["type"] == "menu":
            flow = self._rest(f"config/config_entries/flow/{flow['flow_id']}", {"next_step_id": "broker"})
        other = {"set_ca_cert": "off", "set_client_cert": False}
        about = {"broker": "127.0.0.1", "port": broker.port, "other_settings": other}
        result = self._rest(f"config/config_entries/flow/{flow['flow_id']}", about)
        if result["type"] != "create_entry":
            sys.exit(f"prove-home-assistant: the MQTT integration was not set up: {result}")

    def switch(self, entity: str, on: bool) -> None:
        """Turn a switch as somebody does on a dashboard."""
        target = {"entity_id": entity}
        self._ask("call_service", domain="switch", service="turn_on" if on else "turn_off", target=target)

    def registry(self) -> dict[str, dict[str, Any]]:
        """Return the entries of all entities of MQTT, disabled ones too."""
        entries = self._ask("config/entity_registry/list")
        return {entry["entity_id"]: entry for entry in entries if entry["platform"] == "mqtt"}

    def devices(self) -> list[str]:
        """Return the names of affectd's devices."""
        return sorted(one["name"] for one in self._ask("config/device_registry/list") if one["model"] == "affectd")

    def state(self, entity: str) -> str | None:
        """Return an entity's state; None for one that there is not."""
        return self.states[entity]["state"] if entity in self.states else None

    def _answering(self) -> bool:
        try:
            self._rest("onboarding")
        except (OSError, ValueError):
            return False
        return True

    def _onboard(self) -> None:
        person = {"client_id": CLIENT, "name": "Proof", "username": "proof", "password": os.urandom(9).hex()}
        code = self._rest("onboarding/users", {**person, "language": "en"})["auth_code"]
        form = f"grant_type=authorization_code&code={code}&client_id={CLIENT}".encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/auth/token", form) as answer:
            short = json.load(answer)["access_token"]
        self._token = short
        self._listen()
        self._token = self._ask("auth/long_lived_access_token", client_name="proof", lifespan=1)

    def _rest(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", **({"Authorization": f"Bearer {self._token}"} if self._token else {})},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {error.read().decode()}") from error

    def _listen(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = connect(f"ws://127.0.0.1:{self.port}/api/websocket", max_size=None)
        self._socket.recv()
        self._socket.send(json.dumps({"type": "auth", "access_token": self._token}))
        if json.loads(self._socket.recv())["type"] != "auth_ok":
            sys.exit("prove-home-assistant: Home Assistant does not take its own token")
        threading.Thread(target=self._hear, args=(self._socket,), daemon=True).start()
        for kind in ("state_changed", "somebody_is_happy"):
            self._ask("subscribe_events", event_type=kind)
        self.states = {state["entity_id"]: state for state in self._ask("get_states")}

    def _hear(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            for text in socket:
                message = json.loads(text)
                if message["type"] == "result":
                    self._answers[message["id"]] = message
                elif message["type"] == "event":
                    self._note(message["event"])

    def _note(self, event: dict[str, Any]) -> None:
        if event["event_type"] == "somebody_is_happy":
            self.happy += 1
            return
        entity, new = event["data"]["entity_id"], event["data"]["new_state"]
        self.changes.append((entity, new and new["state"]))
        if new is None:
            self.states.pop(entity, None)
        else:
            self.states[entity] = new

    def _ask(self, kind: str, **fields: Any) -> Any:
        assert self._socket is not None
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "type": kind, **fields}))
        until(lambda: number in self._answers, 30, f"an answer to {kind}")
        answer = self._answers.pop(number)
        if not answer["success"]:
            sys.exit(f"prove-home-assistant: {kind}: {answer['error']}")
        return answer["result"]


def until(condition: Callable[[], Any], deadline_s: float, what: str) -> None:
    """Wait for it; ends the program when it does not come."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"prove-home-assistant: waited {deadline_s:g} s in vain: {what}")
        time.sleep(0.05)


class Proof:
    """What is to be shown, one method for each part; `wrong` counts what was not as it should be."""

    def __init__(self, folder: Path, tree: Path) -> None:
        self.wrong = 0
        self._folder = folder
        self._broker = Mosquitto(folder)
        self._home = HomeAssistant(tree)
        self._room = Room()
        self._kiosk = self._box("kiosk", {})
        lobby = {"device": {"id": "Front-Door", "name": "Lobby"}, "camera": {"source": str(CLIP)}}
        self._lobby = Affectd(folder / "lobby", self._broker, **lobby, clip={"loop": True})

    def _box(self, device: str, mqtt: Mapping[str, Any]) -> Affectd:
        """Make the kiosk, or the same box with other settings: its outbox and what lies beside it stay."""
        where = {"host": "localhost", "port": self._broker.port, "health_s": 5.0, **mqtt}
        camera = {"source": self._room.url, "timeout_s": 1.0}
        return Affectd(
            self._folder / "kiosk", device={"id": device}, mqtt=where, camera=camera, microphone={"source": "off"}
        )

    def run(self) -> None:
        """Show everything."""
        with self._broker, self._room:
            try:
                self._home.start()
                self._home.add_broker(self._broker)
                self._kiosk.start()
                self._lobby.start()
                for part in (
                    self.two_boxes,
                    self.somebody_comes_and_goes,
                    self.privacy,
                    self.the_camera_dies,
                    self.a_clean_stop,
                    self.a_crash,
                    self.home_assistant_restarts,
                    self.it_starts_after_a_crash,
                    self.the_broker_restarts,
                    self.no_ghosts,
                    self.the_log,
                ):
                    print(f"\n{part.__name__.replace('_', ' ').capitalize()}", flush=True)
                    part()
            finally:
                self._kiosk.kill()
                self._lobby.kill()
                self._home.stop()

    def two_boxes(self) -> None:
        """Every entity of both, by its name, with what its dashboard shows."""
        self._shows("kiosk", emotion="happy", reason="shown", face="on", people="1", problem="off", privacy="off")
        self._wait(lambda: self._home.state("binary_sensor.affectd_front_door_face") == "on", "the lobby's face is on")
        self._check("two devices by their names", self._home.devices(), ["Lobby", "affectd kiosk"])
        table = self._table()
        ours = {"emotion", "reason", "confidence", "change", "privacy", "problem", "outbox", "latency"}
        ours |= {"people", "face", "frame_rate"} | ({"temperature"} if temperature_c() is not None else set())
        for device, keys in (("kiosk", ours), ("front_door", ours | {"voice"})):
            names = {name.partition(f"affectd_{device}_")[2] for name in table if f"affectd_{device}_" in name}
            self._check(f"{device} has the entities of its devices", sorted(names), sorted(keys))
        off = {name.split("affectd_kiosk_")[1] for name, one in table.items() if one["disabled_by"] and "kiosk" in name}
        expected = {"latency", "frame_rate", "temperature"} & ours
        self._check("off until asked for", sorted(off), sorted(expected))

    def _table(self) -> dict[str, dict[str, Any]]:
        registry = self._home.registry()
        for name, entry in sorted(registry.items(), key=lambda one: one[0].partition(".")[2]):
            state = self._home.states.get(name, {"state": "(off by default)", "attributes": {}})
            attributes = state["attributes"]
            told = {
                key: len(value) if isinstance(value := attributes[key], list) else value
                for key in SHOWN
                if attributes.get(key) is not None
            }
            print(
                f"  {name:<42} {attributes.get('friendly_name', entry['original_name']):<32} {state['state']:<17}",
                end=" ",
            )
            print(", ".join(f"{key} {value}" for key, value in told.items()))
        return registry

    def somebody_comes_and_goes(self) -> None:
        """The emotion ends with the person, and costs the recorder little while nothing changes."""
        self._room.somebody = False
        self._shows("kiosk", emotion="unknown", reason="nobody", confidence="unknown", face="off", people="0")
        mark = len(self._home.changes)
        time.sleep(30)
        quiet = [entity for entity, _ in self._home.changes[mark:] if "kiosk" in entity]
        print(f"  rows for the recorder in 30 s with nobody there: {_counted(quiet)}")
        mark = len(self._home.changes)
        self._room.somebody = True
        self._shows("kiosk", emotion="happy", reason="shown", face="on", people="1")
        change = self._home.states["event.affectd_kiosk_change"]["attributes"]
        self._check("the event entity tells the change", (change["event_type"], change["previous"]), ("happy", None))
        time.sleep(30)
        steady = [entity for entity, _ in self._home.changes[mark:] if "kiosk" in entity]
        print(f"  rows in 30 s in which somebody came and stayed: {_counted(steady)}")

    def privacy(self) -> None:
        """Turned on and off from Home Assistant."""
        switch = "switch.affectd_kiosk_privacy"
        mark = len(self._home.changes)
        self._home.switch(switch, True)
        self._shows(
            "kiosk", privacy="on", emotion="unknown", reason="privacy", face="unavailable", people="unavailable"
        )
        closed = self._home.changes.index((switch, "on"), mark)
        time.sleep(3)
        seen = [one for one in self._home.changes[closed:] if one[0].endswith(("kiosk_face", "kiosk_emotion"))]
        self._check(
            "no face and no emotion once the switch says on",
            [value for _, value in seen if value not in {"unavailable", "unknown"}],
            [],
        )
        self._shows("kiosk", problem="off")
        self._home.switch(switch, False)
        self._shows("kiosk", privacy="off", emotion="happy", reason="shown", face="on", people="1", problem="off")

    def the_camera_dies(self) -> None:
        """A broken camera is no person who left."""
        self._room.die()
        self._shows(
            "kiosk", emotion="unknown", reason="no_camera", face="unavailable", people="unavailable", problem="on"
        )
        problem = self._home.states["binary_sensor.affectd_kiosk_problem"]["attributes"]["problem"]
        told = problem.replace(str(self._room.port), "PORT")
        print(f"  its sentence: {told}")
        self._check("it names the camera", "camera" in problem, True)
        self._room.come_back()
        self._shows("kiosk", emotion="happy", reason="shown", face="on", problem="off")
        attribute = self._home.states["binary_sensor.affectd_kiosk_problem"]["attributes"].get("problem")
        self._check("without a problem no sentence", attribute, None)

    def a_clean_stop(self) -> None:
        """While it is off nothing is known, and the next start shows nobody until somebody is seen."""
        self._kiosk.send(signal.SIGTERM)
        self._kiosk.wait()
        self._dark()
        self._starts_with_nobody()

    def a_crash(self) -> None:
        """As after a clean stop; the broker speaks for the box."""
        self._shows("kiosk", emotion="happy")
        self._kiosk.kill()
        self._dark()
        self._starts_with_nobody()

    def _dark(self) -> None:
        self._shows("kiosk", **dict.fromkeys(("emotion", "reason", "face", "people", "confidence"), "unavailable"))

    def _starts_with_nobody(self) -> None:
        self._room.somebody = False
        mark, happy = len(self._home.changes), self._home.happy
        self._kiosk.start()
        self._shows("kiosk", emotion="unknown", reason="nobody", face="off", people="0")
        time.sleep(2)
        self._check("the automation for somebody happy did not run", self._home.happy - happy, 0)
        for key in ("emotion", "face", "reason"):
            values = [str(value) for entity, value in self._home.changes[mark:] if entity.endswith(f"kiosk_{key}")]
            print(f"  {key} after the start: {' -> '.join(dict.fromkeys(values))}")
            self._check(
                f"{key} shows nobody who is not there", [v for v in values if v in {"happy", "on", "shown"}], []
            )
        self._room.somebody = True
        self._shows("kiosk", emotion="happy", reason="shown", face="on", people="1")
        self._wait(lambda: self._home.happy > happy, "and it ran when somebody came")

    def home_assistant_restarts(self) -> None:
        """It knows the boxes again, with their states."""
        self._home.stop()
        self._home.start()
        self._shows("kiosk", emotion="happy", reason="shown", face="on", people="1", privacy="off", problem="off")
        self._check("both boxes are there", self._home.devices(), ["Lobby", "affectd kiosk"])

    def it_starts_after_a_crash(self) -> None:
        """A Home Assistant that starts while the box is dead does not believe what the box left behind."""
        self._kiosk.kill()
        self._dark()
        self._home.stop()
        self._home.start()
        self._dark()
        self._starts_with_nobody()

    def the_broker_restarts(self) -> None:
        """Everything is unavailable meanwhile, and back after."""
        self._broker.kill()
        self._dark()
        self._broker.start()
        self._shows("kiosk", emotion="happy", reason="shown", face="on", people="1", privacy="off", problem="off")

    def no_ghosts(self) -> None:
        """Without discovery, and under another id, nothing of the box before stays."""
        self._end()
        self._kiosk = self._box("kiosk", {"discovery_prefix": ""})
        self._kiosk.start()
        self._wait(lambda: self._home.devices() == ["Lobby"], "the box without discovery is gone")
        self._end()
        self._kiosk = self._box("kiosk", {})
        self._kiosk.start()
        self._shows("kiosk", emotion="happy", reason="shown", face="on")
        self._end()
        self._kiosk = self._box("bar", {})
        self._kiosk.start()
        self._shows("bar", emotion="happy", reason="shown", face="on")
        self._wait(lambda: self._home.devices() == ["Lobby", "affectd bar"], "the box of the old id is gone")
        left = [name for name in self._home.registry() if "kiosk" in name]
        self._check("and so are its entities", left, [])

    def _end(self) -> None:
        self._kiosk.send(signal.SIGTERM)
        self._kiosk.wait()

    def the_log(self) -> None:
        """What Home Assistant complained of."""
        lines = [line for line in self._home.log.splitlines() if " WARNING " in line or " ERROR " in line]
        ours = [line for line in lines if any(word in line.lower() for word in ABOUT_US)]
        for line in ours:
            print(f"  {line[:240].replace(str(self._broker.port), 'PORT')}")
        others = [line.partition("[")[2].partition("]")[0] for line in lines if line not in ours]
        print(f"  of this environment, not of MQTT: {_counted(others)}")
        said = [line for line in ours if "connection was lost" not in line]  # the broker was killed
        self._check("words against a box", len(said), 0)

    def _shows(self, device: str, **expected: str) -> None:
        names = {key: _entity(device, key) for key in expected}
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE_S:
            shown = {key: self._home.state(name) for key, name in names.items()}
            if shown == expected:
                break
            time.sleep(0.05)
        self._check(f"{device} shows", shown, expected)

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not (held := condition()) and time.monotonic() < end:
            time.sleep(0.2)
        self._check(what, held, True)

    def _check(self, what: str, found: Any, expected: Any) -> None:
        right = found == expected
        self.wrong += not right
        told = ", ".join(f"{k} {v}" for k, v in found.items()) if isinstance(found, dict) else found
        print(
            f"  {'right' if right else 'WRONG'}  {what}: {told}" + ("" if right else f"; expected {expected}"),
            flush=True,
        )


def _entity(device: str, key: str) -> str:
    kind = {"face": "binary_sensor", "voice": "binary_sensor", "problem": "binary_sensor", "privacy": "switch"}
    return f"{kind.get(key, 'sensor')}.affectd_{device}_{key}"


def _counted(names: list[str]) -> str:
    return ", ".join(f"{name} {names.count(name)}" for name in sorted(set(names))) or "nothing"


def main() -> int:
    """Show it all; give the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/prove-home-assistant", description=__doc__)
    parser.add_argument("tree", type=Path, help="a Debian tree with Home Assistant in /opt/ha")
    tree = parser.parse_args().tree
    (tree / "hass.log").unlink(missing_ok=True)
    version = subprocess.run(
        ["chroot", str(tree), "/opt/ha/bin/hass", "--version"], check=True, capture_output=True, text=True
    )
    print("$ scripts/prove-home-assistant")
    print(f"Home Assistant Core {version.stdout.strip()}, mosquitto, {time.strftime('%F', time.gmtime())}")
    with tempfile.TemporaryDirectory() as name:
        proof = Proof(Path(name), tree)
        proof.run()
    print(f"\n{proof.wrong} wrong" if proof.wrong else "\nall right")
    return 1 if proof.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

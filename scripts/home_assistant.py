"""A real Home Assistant Core over its own interfaces: onboarding, the MQTT integration, entities, states, recorder."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

HASS = "/opt/ha/bin/hass"
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
}
"""At its first start Home Assistant installs what its integrations need."""
CLIENT = "http://127.0.0.1/"
RAN = "automation_ran"
"""Type of the event by which an automation of ours tells that it ran."""
CONFIGURATION = {
    "api": None,
    "config": None,
    "onboarding": None,
    "logger": {"default": "warning"},
    "recorder": {"commit_interval": 1},
}


def comes(condition: Callable[[], Any], deadline_s: float) -> bool:
    """Wait for it; false when it has not come after `deadline_s`."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def ran(name: str) -> list[dict[str, Any]]:
    """Return the actions of an automation that does nothing but tell that it ran."""
    return [{"event": RAN, "event_data": {"name": name}}]


class HomeAssistant:
    """A Home Assistant Core in a Debian tree, from its first start on; a failure of its own ends the program."""

    def __init__(self, tree: Path, port: int, automations: list[dict[str, Any]]) -> None:
        """Begin with an empty configuration folder, for the web interface on this port of the loopback."""
        self.states: dict[str, dict[str, Any]] = {}
        """The newest state by entity."""
        self.changes: list[tuple[str, str | None]] = []
        """Entity and new state, None when it was removed: every change of a state or an attribute, in order."""
        self.runs: Counter[str] = Counter()
        """How often each automation ran."""
        self._tree, self._folder, self._port = tree, tree / "config", port
        self._token = ""
        self._socket: ClientConnection | None = None
        self._ids = itertools.count(1)
        self._answers: dict[int, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        http = {"server_host": "127.0.0.1", "server_port": port}
        configuration = {**CONFIGURATION, "http": http, "automation": automations}
        (self._folder / "configuration.yaml").write_text(json.dumps(configuration))  # JSON is YAML
        self._log_file.unlink(missing_ok=True)

    @property
    def version(self) -> str:
        """Its version."""
        command = ["chroot", str(self._tree), HASS, "--version"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    @property
    def log(self) -> str:
        """What it has logged over all its starts."""
        return self._log_file.read_text()

    def start(self) -> None:
        """Start it, and wait until it has started: its automations wait for that too."""
        command = ["chroot", str(self._tree), HASS, "-c", "/config", *(["--skip-pip"] if self._token else [])]
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=log)
        if not comes(self._is_answering, 600):
            sys.exit(f"Home Assistant does not answer; see {self._log_file}")
        if not self._token:
            self._onboard()
        self._listen()
        if not comes(lambda: self._ask("get_config")["state"] == "RUNNING", 300):
            sys.exit(f"Home Assistant does not come to the end of its start; see {self._log_file}")

    def stop(self) -> None:
        """End it in order; harmless when it does not run."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(120)
            self._process = None

    def add_broker(self, port: int) -> None:
        """Set up the MQTT integration as a user does, for a broker on this machine."""
        flow = self._rest("config/config_entries/flow", {"handler": "mqtt", "show_advanced_options": False})
        if flow["type"] == "menu":
            flow = self._rest(f"config/config_entries/flow/{flow['flow_id']}", {"next_step_id": "broker"})
        other = {"set_ca_cert": "off", "set_client_cert": False}
        about = {"broker": "127.0.0.1", "port": port, "other_settings": other}
        self._finish(f"config/config_entries/flow/{flow['flow_id']}", about)

    def set_discovery_prefix(self, prefix: str) -> None:
        """Change the MQTT integration's discovery prefix in its options; all else stays, its birth topic too."""
        (entry,) = self._ask("config_entries/get", domain="mqtt")
        flow = self._rest("config/config_entries/options/flow", {"handler": entry["entry_id"]})
        self._finish(f"config/config_entries/options/flow/{flow['flow_id']}", {"discovery_prefix": prefix})

    def turn(self, switch: str, on: bool) -> None:
        """Turn a switch as somebody does on a dashboard."""
        service = "turn_on" if on else "turn_off"
        self._ask("call_service", domain="switch", service=service, target={"entity_id": switch})

    def entities(self) -> dict[str, dict[str, Any]]:
        """Return the registry's entries of all entities of MQTT, disabled ones too, by id."""
        entries = self._ask("config/entity_registry/list")
        return {entry["entity_id"]: entry for entry in entries if entry["platform"] == "mqtt"}

    def devices(self) -> list[str]:
        """Return the names of affectd's devices."""
        return sorted(one["name"] for one in self._ask("config/device_registry/list") if one["model"] == "affectd")

    def state(self, entity: str) -> str | None:
        """Return an entity's state; None for one that there is not."""
        return self.states[entity]["state"] if entity in self.states else None

    def attribute(self, entity: str, name: str) -> Any:
        """Return an entity's attribute, None where it has none of this name."""
        return self.states[entity]["attributes"].get(name)

    def recorded(self) -> Counter[str]:
        """Count the rows of the recorder's table of states by entity."""
        query = "select m.entity_id, count(*) from states join states_meta m using (metadata_id) group by m.entity_id"
        with closing(sqlite3.connect(self._folder / "home-assistant_v2.db")) as database:
            return Counter(dict(database.execute(query)))

    @property
    def _log_file(self) -> Path:
        return self._tree / "hass.log"

    def _is_answering(self) -> bool:
        with suppress(OSError, ValueError, RuntimeError):
            self._rest("onboarding")
            return True
        return False

    def _onboard(self) -> None:
        person = {"client_id": CLIENT, "name": "Proof", "username": "proof", "password": os.urandom(9).hex()}
        code = self._rest("onboarding/users", {**person, "language": "en"})["auth_code"]
        form = f"grant_type=authorization_code&code={code}&client_id={CLIENT}".encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/auth/token", form) as answer:
            self._token = json.load(answer)["access_token"]
        self._listen()
        self._token = self._ask("auth/long_lived_access_token", client_name="proof", lifespan=1)
        self._ask("http/config/promote")  # or it restarts after five minutes, with its own settings for http

    def _finish(self, path: str, answers: Mapping[str, Any]) -> None:
        """Fill in the last form of a flow."""
        result = self._rest(path, answers)
        if result["type"] != "create_entry":
            sys.exit(f"Home Assistant does not take the form of {path}: {result}")

    def _rest(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the answer. Raises RuntimeError with what Home Assistant says when that is an error."""
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(
                urllib.request.Request(f"http://127.0.0.1:{self._port}/api/{path}", data, headers), timeout=30
            ) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {error.read().decode()}") from error

    def _listen(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = connect(f"ws://127.0.0.1:{self._port}/api/websocket", max_size=None, ping_interval=None)
        self._socket.recv()
        self._socket.send(json.dumps({"type": "auth", "access_token": self._token}))
        if json.loads(self._socket.recv())["type"] != "auth_ok":
            sys.exit("Home Assistant does not take its own token")
        threading.Thread(target=self._receive, args=(self._socket,), daemon=True).start()
        for kind in ("state_changed", RAN):
            self._ask("subscribe_events", event_type=kind)
        self.states = {state["entity_id"]: state for state in self._ask("get_states")}

    def _receive(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            for text in socket:
                message = json.loads(text)
                if message["type"] == "result":
                    self._answers[message["id"]] = message
                elif message["type"] == "event":
                    self._take(message["event"])

    def _take(self, event: dict[str, Any]) -> None:
        if event["event_type"] == RAN:
            self.runs[event["data"]["name"]] += 1
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
        if not comes(lambda: number in self._answers, 30):
            sys.exit(f"Home Assistant does not answer {kind}")
        answer = self._answers.pop(number)
        if not answer["success"]:
            sys.exit(f"Home Assistant refuses {kind}: {answer['error']}")
        return answer["result"]

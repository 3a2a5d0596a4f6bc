"""A real MQTT broker of the test's own, and a subscriber that has nothing of the product in it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from support.certificates import CertificateAuthority
from support.waiting import DEADLINE_S, until

# Saved on every change: what is owed to a durable subscriber outlives `kill -9`.
CONFIG = """\
listener {plain_port} 127.0.0.1
listener {port} 127.0.0.1
user root
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes true
allow_anonymous {anonymous}
log_dest file {folder}/mosquitto.log
log_type all
"""


class Mosquitto:
    """Runs while entered, on a free loopback port that it keeps over restarts.

    `host_name` is the one that its certificate is made for, `client_certificates` says that clients must show one
    too; `acl` is the text of an acl_file, `more` of further lines of its configuration. On `plain_port` there is
    never TLS, for listeners that are not what is tested.
    """

    host = "localhost"

    def __init__(
        self,
        folder: Path,
        *,
        user: str = "",
        password: str = "",
        tls: bool = False,
        host_name: str = "localhost",
        client_certificates: bool = False,
        acl: str = "",
        more: str = "",
    ) -> None:
        self.folder = folder / "mosquitto"
        self.folder.mkdir(parents=True)
        self.port, self.plain_port = free_port(), free_port()
        self.user, self.password = user, password
        self.ca_file = ""
        """The CA certificate to trust; empty without TLS."""
        self.authority: CertificateAuthority | None = None
        self._acl, self._passwords = self.folder / "acl", self.folder / "passwords"
        self._process: subprocess.Popen[bytes] | None = None
        config = CONFIG.format(
            port=self.port, plain_port=self.plain_port, folder=self.folder, anonymous="false" if user else "true"
        )
        if user:
            subprocess.run(["mosquitto_passwd", "-b", "-c", str(self._passwords), user, password], check=True)
            config += f"password_file {self._passwords}\n"
        if acl:
            self._acl.write_text(acl)
            config += f"acl_file {self._acl}\n"
        if tls:
            self.authority = CertificateAuthority(self.folder / "ca")
            self.ca_file = str(self.authority.certificate)
            config += f"certfile {self.folder}/broker.pem\nkeyfile {self.folder}/broker.key\n"
            self.renew_certificate(host_name)
        if client_certificates:
            config += f"cafile {self.ca_file}\nrequire_certificate true\n"
        (self.folder / "mosquitto.conf").write_text(config + more)

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        self._process = subprocess.Popen(
            ["mosquitto", "-c", str(self.folder / "mosquitto.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        until(self._answers)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would; harmless when it does not run."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill it and start it again on the same port, with the same store."""
        self.kill()
        self.start()

    @property
    def store(self) -> bytes:
        """What it has saved, messages as they are; empty before the first time."""
        file = self.folder / "mosquitto.db"
        return file.read_bytes() if file.exists() else b""

    def renew_certificate(self, host_name: str = "localhost", *, days: int = 2) -> None:
        """Let it show another certificate from its next start on; one with negative days has expired."""
        assert self.authority is not None
        certificate, key = self.authority.issue(host_name, days=days)
        certificate.replace(self.folder / "broker.pem")
        key.replace(self.folder / "broker.key")

    def change_acl(self, text: str) -> None:
        """Put other rules in force; the broker must have been made with some."""
        self._acl.write_text(text)
        self.send(signal.SIGHUP)

    def change_password(self, password: str) -> None:
        """Put another password of its user in force; the broker must have been made with one."""
        subprocess.run(["mosquitto_passwd", "-b", str(self._passwords), self.user, password], check=True)
        self.send(signal.SIGHUP)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self.folder / "mosquitto.log").read_text()

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.communicate(timeout=10)
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            assert self._process.stderr is not None
            raise RuntimeError(f"mosquitto did not start: {self._process.stderr.read().decode()}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Message(NamedTuple):
    """One message as it arrived."""

    topic: str
    payload: bytes
    retain: bool

    @property
    def json(self) -> Any:
        """The payload as read from JSON."""
        return json.loads(self.payload)


class Listener:
    """Subscribes while entered, and comes back by itself when the broker does.

    A `durable` one has a session of its own on the broker, which keeps for it what it misses.
    """

    def __init__(
        self, broker: Mosquitto, *topics: str, durable: bool = False, client_id: str = "", mqtt311: bool = False
    ) -> None:
        self._topics = topics
        self._lock = threading.Lock()
        self._messages: list[Message] = []
        self._subscribed = threading.Event()
        version = MQTTProtocolVersion.MQTTv311 if mqtt311 else MQTTProtocolVersion.MQTTv5
        client_id = client_id or ("durable-listener" if durable else "")
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version)
        if broker.user:
            self._client.username_pw_set(broker.user, broker.password)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._broker = broker
        self._options: dict[str, Any] = {}
        if durable:
            self._options = {"clean_start": False, "properties": Properties(PacketTypes.CONNECT)}
            self._options["properties"].SessionExpiryInterval = 3600

    def __enter__(self) -> Listener:
        self._client.connect(self._broker.host, self._broker.plain_port, **self._options)
        self._client.loop_start()
        assert self._subscribed.wait(DEADLINE_S), "the listener was not let in"
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def connected(self) -> bool:
        """Whether the broker is there."""
        return self._client.is_connected()

    @property
    def messages(self) -> list[Message]:
        """All that has arrived, in order."""
        with self._lock:
            return list(self._messages)

    def on(self, topic: str) -> list[Message]:
        """Those of one topic."""
        return [message for message in self.messages if message.topic == topic]

    def wait_for(self, condition: Callable[[list[Message]], object], deadline_s: float = DEADLINE_S) -> list[Message]:
        """Wait until the condition holds for all that has arrived, and give that; else an AssertionError."""
        end = time.monotonic() + deadline_s
        while not condition(messages := self.messages):
            topics = sorted({message.topic for message in messages})
            assert time.monotonic() < end, f"did not come in {deadline_s:g} s; {len(messages)} messages on {topics}"
            time.sleep(0.02)
        return messages

    def publish(self, topic: str, payload: str | bytes, *, retain: bool = False) -> None:
        """Publish with QoS 1, and wait until the broker has it; a broker that is just back is waited for."""
        until(self._client.is_connected)
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(DEADLINE_S)

    def publish_soon(self, topic: str, payload: str | bytes, *, retain: bool = False) -> None:
        """Publish with QoS 0, waiting for nobody."""
        self._client.publish(topic, payload, retain=retain)

    def _on_connect(self, client: paho.Client, *_: object) -> None:
        client.subscribe([(topic, 1) for topic in self._topics])

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        with self._lock:
            self._messages.append(Message(message.topic, bytes(message.payload), message.retain))


_ports_taken = (Path(tempfile.gettempdir()) / f"affectd-test-ports-{os.getuid()}").open("a")
"""Of this file every process locks the byte whose offset is a port that it took, until it ends."""
_own_ports: set[int] = set()


def free_port() -> int:
    """Return a loopback port that nobody listens on, below those that outgoing connections take (from 32768 on).

    A broker that is started again on its port must not find it taken by somebody's connection, nor by a broker of
    another process of this test run: a port is given once.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            # A process may lock a byte twice, so its own ports are remembered.
            fcntl.lockf(_ports_taken, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            if port not in _own_ports:
                _own_ports.add(port)
                return port

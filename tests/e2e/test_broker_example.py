"""The broker's rules in systemd/mosquitto, in force in a real mosquitto."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from affectd.publish.topics import Topics
from e2e.program import command, environment
from support.example_broker import ExampleBroker, password_of
from support.publishing import running
from support.waiting import until

USERS = ("kiosk", "viewer", "operator", "homeassistant")
TOPICS = Topics("affectd", "kiosk")
OTHERS = Topics("affectd", "lobby")
OWN = (
    TOPICS.availability, TOPICS.state, TOPICS.event, TOPICS.faces, TOPICS.voice, TOPICS.health, TOPICS.privacy,
)  # fmt: skip


class User:
    """One client that is let in under its name, and sees what it subscribed to."""

    def __init__(
        self,
        broker: ExampleBroker,
        name: str,
        *topics: str,
        tls: bool = False,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        self.name = name
        self.received: list[tuple[str, str]] = []
        self._answers: dict[int, Any] = {}
        self._subscribed = threading.Event()
        self._client = client = _client("" if certificate else name, password_of(name))
        if tls:
            certfile, keyfile = map(str, certificate) if certificate else (None, None)
            client.tls_set(ca_certs=str(broker.ca_file), certfile=certfile, keyfile=keyfile)
        client.on_message = lambda _c, _d, message: self.received.append((message.topic, message.payload.decode()))
        client.on_publish = lambda _c, _d, mid, reason, _p: self._answers.update({mid: reason})
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.connect("localhost", broker.tls_port if tls else broker.port)
        client.loop_start()
        until(client.is_connected, 15)
        if topics:
            client.subscribe([(topic, 1) for topic in topics])
            assert self._subscribed.wait(15)

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> bool:
        """Publish with QoS 1; whether the broker was willing."""
        mid = self._client.publish(topic, payload, qos=1, retain=retain).mid
        until(lambda: mid in self._answers, 15)
        return not self._answers[mid].is_failure

    def end(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()


def _client(name: str, password: str) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    if name:
        client.username_pw_set(name, password)
    return client


@pytest.fixture
def example(tmp_path: Path) -> Iterator[ExampleBroker]:
    with ExampleBroker(tmp_path, USERS) as broker:
        yield broker


@pytest.fixture
def kiosk(example: ExampleBroker) -> Iterator[User]:
    user = User(example, "kiosk", "#")
    yield user
    user.end()


@pytest.fixture
def viewer(example: ExampleBroker) -> Iterator[User]:
    user = User(example, "viewer", "#")
    yield user
    user.end()


@pytest.fixture
def operator(example: ExampleBroker) -> Iterator[User]:
    user = User(example, "operator", "#")
    yield user
    user.end()


def test_what_a_box_publishes_reaches_subscribers(kiosk: User, viewer: User, operator: User) -> None:
    for topic in OWN:
        assert kiosk.publish(topic, "said")
    assert kiosk.publish(TOPICS.discovery, "said")
    expected = [(topic, "said") for topic in OWN]
    until(lambda: viewer.received == expected)
    until(lambda: operator.received == [*expected, (TOPICS.discovery, "said")])
    assert kiosk.received == []  # reads its own commands only


def test_a_box_publishes_for_nobody_else_and_sends_no_command(kiosk: User, viewer: User, operator: User) -> None:
    for topic in (OTHERS.state, OTHERS.event, OTHERS.discovery, TOPICS.privacy_command, OTHERS.privacy_command):
        assert not kiosk.publish(topic, "forged")
    assert not kiosk.publish(TOPICS.home_assistant_status, "online")
    assert kiosk.publish(TOPICS.state, "after them")
    after = [(TOPICS.state, "after them")]
    until(lambda: viewer.received == after and operator.received == after)


def test_a_subscriber_changes_nothing(kiosk: User, viewer: User, operator: User) -> None:
    for topic in (*OWN, TOPICS.privacy_command, TOPICS.discovery, TOPICS.home_assistant_status):
        assert not viewer.publish(topic, "forged")
    assert kiosk.publish(TOPICS.state, "after them")
    until(lambda: operator.received == [(TOPICS.state, "after them")])
    assert kiosk.received == []


@pytest.mark.parametrize("name", ["operator", "homeassistant"])
def test_only_operator_and_home_assistant_close_the_devices(
    example: ExampleBroker, kiosk: User, viewer: User, name: str
) -> None:
    user = User(example, name)
    assert not viewer.publish(TOPICS.privacy_command, "off")
    assert user.publish(OTHERS.privacy_command, "on")  # another box's
    assert user.publish(TOPICS.privacy_command, "on")
    assert user.publish(TOPICS.home_assistant_status, "online")
    until(lambda: len(kiosk.received) == 2)
    assert kiosk.received == [(TOPICS.privacy_command, "on"), (TOPICS.home_assistant_status, "online")]
    for topic in (*OWN, TOPICS.discovery):
        assert user.publish(topic, "forged") is (name == "operator"), topic  # who may clear what is kept
    user.end()


def test_an_operator_clears_a_box_that_is_gone_and_a_subscriber_may_not(
    example: ExampleBroker, kiosk: User, viewer: User, operator: User, tmp_path: Path
) -> None:
    for topic in TOPICS.retained:
        assert kiosk.publish(topic, "kept", retain=True)
    by_viewer = forget(example, tmp_path, "viewer", "kiosk")
    assert by_viewer.returncode == 6, by_viewer.stderr
    assert all(topic in by_viewer.stderr for topic in TOPICS.retained if topic != TOPICS.discovery)
    by_operator = forget(example, tmp_path, "operator", "kiosk")
    assert (by_operator.returncode, by_operator.stderr) == (0, "")
    assert kept(example) == set()


def test_a_box_clears_what_is_kept_of_itself_though_it_may_not_read_it(
    example: ExampleBroker, kiosk: User, tmp_path: Path
) -> None:
    for topic in TOPICS.retained:
        assert kiosk.publish(topic, "kept", retain=True)
    itself = forget(example, tmp_path, "kiosk")
    assert (itself.returncode, itself.stderr) == (0, "")
    assert kept(example) == set()
    example.remove_rules("pattern write homeassistant")
    refused = forget(example, tmp_path, "kiosk")
    assert refused.returncode == 6
    assert f"refuses user 'kiosk' to clear {TOPICS.discovery} (Not authorized)" in refused.stderr
    assert f"affectd forget kiosk --host localhost --port {example.port}" in refused.stderr


def forget(example: ExampleBroker, folder: Path, user: str, *box: str) -> subprocess.CompletedProcess[str]:
    """Run `affectd forget` as a user of the broker, of this box itself without `box`."""
    password, outbox = folder / f"{user}.password", folder / "outbox.db"
    password.write_text(password_of(user))
    options = ("--port", str(example.port), "--username", user, "--password-file", str(password), "--yes")
    return subprocess.run(
        command("forget", *box, *options, "--no-config"),
        env={**environment(), "AFFECTD_DEVICE_ID": "kiosk", "AFFECTD_OUTBOX_PATH": str(outbox)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def kept(example: ExampleBroker) -> set[str]:
    """Return the topics on which the broker keeps something that an operator may read."""
    late = User(example, "operator", "#")
    for topic in (OTHERS.state, OTHERS.discovery):  # behind all that is kept
        assert late.publish(topic, "marker")
    until(lambda: len(late.received) >= 2 and late.received[-1] == (OTHERS.discovery, "marker"))
    late.end()
    return {topic for topic, payload in late.received if payload != "marker"}


@pytest.mark.parametrize(("name", "password"), [("", ""), ("kiosk", "guessed"), ("stranger", "kiosk's own")])
def test_strangers_are_not_let_in(example: ExampleBroker, name: str, password: str) -> None:
    answers: list[Any] = []
    client = _client(name, password)
    client.on_connect = lambda _c, _d, _f, reason, _p: answers.append(reason)
    client.connect("localhost", example.port)
    client.loop_start()
    until(lambda: answers, 15)
    client.loop_stop()
    assert answers[0] == "Not authorized"


def test_boxes_come_in_by_tls(example: ExampleBroker, viewer: User) -> None:
    box = User(example, "kiosk", tls=True)
    assert box.publish(TOPICS.state, "encrypted")
    assert not box.publish(OTHERS.state, "forged")
    until(lambda: viewer.received == [(TOPICS.state, "encrypted")])
    box.end()


def test_the_certificate_is_checked(example: ExampleBroker) -> None:
    client = _client("kiosk", "kiosk's own")
    client.tls_set()  # the system's authorities do not know the example's
    with pytest.raises(ssl.SSLCertVerificationError):
        client.connect("localhost", example.tls_port)


def test_a_box_with_a_certificate_of_its_own_is_known_by_its_name(tmp_path: Path) -> None:
    with ExampleBroker(tmp_path, USERS, certificates_of_boxes=True) as example:
        viewer = User(example, "viewer", "#")
        box = User(example, "kiosk", tls=True, certificate=example.boxes.issue("kiosk"))
        assert box.publish(TOPICS.state, "known")
        assert not box.publish(OTHERS.state, "forged")
        until(lambda: viewer.received == [(TOPICS.state, "known")])
        answers: list[Any] = []
        stranger = _client("kiosk", "kiosk's own")  # the password alone is not enough there
        stranger.tls_set(ca_certs=str(example.ca_file))
        stranger.on_connect = lambda _c, _d, _f, reason, _p: answers.append(reason)
        stranger.on_disconnect = lambda *_: answers.append("thrown out")
        stranger.connect("localhost", example.tls_port)
        stranger.loop_start()
        until(lambda: answers, 15)
        stranger.loop_stop()
        assert answers[0] == "thrown out"
        for user in (viewer, box):
            user.end()


def test_subscribers_do_not_pass_for_boxes(viewer: User, operator: User) -> None:
    """The patterns for boxes are for every user."""
    for user in (viewer, operator):
        own = Topics("affectd", user.name)
        for topic in (own.availability, own.state, own.event, own.discovery, own.privacy_command):
            assert not user.publish(topic, "forged"), topic


@pytest.mark.parametrize("name", ["+", "+#", "kiosk/+"])
def test_a_user_name_that_is_a_wildcard_reaches_nothing(example: ExampleBroker, name: str) -> None:
    example.add_user(name)
    user = User(example, name)
    for topic in (TOPICS.state, OTHERS.state, TOPICS.privacy_command):
        assert not user.publish(topic, "forged")
    user.end()


def test_a_box_is_added_while_the_others_stay_connected(example: ExampleBroker, viewer: User, tmp_path: Path) -> None:
    user = {"username": "box", "password_file": str(tmp_path / "password")}
    (tmp_path / "password").write_text(password_of("box"))
    example.add_user("box")
    with running(example.port, tmp_path, **user) as box:
        until(lambda: box.connected, 15)
        example.add_user("lobby")
        lobby = User(example, "lobby")
        assert lobby.publish(OTHERS.state, "new")
        assert not lobby.publish(TOPICS.state, "forged")
        box.publish_events(3)
        until(lambda: box.outbox.depth == 0, 15)
        assert box.publisher.status.reconnects == 0
        until(lambda: [topic for topic, _ in viewer.received].count("affectd/box/event") == 3)
    assert (OTHERS.state, "new") in viewer.received
    lobby.end()

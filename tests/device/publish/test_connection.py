"""Refusals and other brokers: every one a sentence that says what to mend, and the session mends itself after."""

from __future__ import annotations

import codecs
import socket
import time
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from affectd.cli.embedded_broker import EmbeddedBroker
from support.broker import Listener, Mosquitto, free_port
from support.certificates import CertificateAuthority
from support.odd_broker import NO_TEXT_FOR_A_TOPIC, NOT_AUTHORIZED, OddBroker
from support.publishing import TOPICS, running
from support.waiting import until

PASSWORD = "correct-horse"


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    return file


# Passwords.


def test_a_wrong_password_is_a_sentence_and_a_mended_file_is_read(tmp_path: Path, password_file: Path) -> None:
    password_file.write_text("wrong-secret\n")
    with (
        Mosquitto(tmp_path, user="box", password=PASSWORD) as broker,
        running(broker.port, tmp_path, username="box", password_file=str(password_file)) as box,
    ):
        until(lambda: box.last_error)
        assert f"localhost:{broker.port}" in box.last_error
        assert "'box'" in box.last_error
        assert "mqtt.password_file" in box.last_error
        assert "wrong-secret" not in box.last_error
        assert not box.connected
        password_file.write_text(PASSWORD + "\n")
        until(lambda: box.connected and box.last_error == "")


@pytest.mark.parametrize(
    "content",
    [codecs.BOM_UTF8 + PASSWORD.encode(), codecs.BOM_UTF8 + f"{PASSWORD}\r\n".encode(), f"{PASSWORD}\n\n".encode()],
    ids=["byte order mark", "Notepad", "two line ends"],
)
def test_what_an_editor_adds_is_no_part_of_the_password(tmp_path: Path, password_file: Path, content: bytes) -> None:
    password_file.write_bytes(content)
    with (
        Mosquitto(tmp_path, user="box", password=PASSWORD) as broker,
        running(broker.port, tmp_path, username="box", password_file=str(password_file)) as box,
    ):
        until(lambda: box.connected or box.last_error)
        assert box.last_error == ""


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (PASSWORD.encode("utf-16"), "is saved as UTF-16 or is no text; save it as UTF-8"),
        (PASSWORD.encode("utf-16-be"), "is saved as UTF-16 or is no text; save it as UTF-8"),
        ("schlüssel".encode("latin-1"), "is not UTF-8 (byte 5); save it as UTF-8"),
        (b"", "is empty; write the password of 'box' into it"),
        (codecs.BOM_UTF8 + b"\r\n", "is empty; write the password of 'box' into it"),
    ],
    ids=["UTF-16", "UTF-16 without a mark", "Latin-1", "nothing", "a mark and a line end"],
)
def test_a_password_file_that_holds_no_password_is_told(
    tmp_path: Path, password_file: Path, content: bytes, told: str
) -> None:
    password_file.write_bytes(content)
    with running(1, tmp_path, username="box", password_file=str(password_file)) as box:
        until(lambda: box.last_error)
        assert f"password file {password_file}: {told}" in box.last_error


def test_the_systemd_credential_is_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mqtt-password").write_text(PASSWORD)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with (
        Mosquitto(tmp_path, user="box", password=PASSWORD) as broker,
        running(broker.port, tmp_path, username="box") as box,
    ):
        until(lambda: box.connected)


def test_an_empty_systemd_credential_is_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mqtt-password").write_text("\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with Mosquitto(tmp_path) as broker, running(broker.port, tmp_path, username="box") as box:
        until(lambda: box.connected or box.last_error)
        assert box.last_error == ""


def test_a_client_without_a_name_is_told_so(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, user="box", password=PASSWORD) as broker, running(broker.port, tmp_path) as box:
        until(lambda: "without a user name" in box.last_error)


def test_a_password_file_that_is_not_there_is_a_sentence(broker: Mosquitto, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    with running(broker.port, tmp_path, username="box", password_file=str(missing)) as box:
        until(lambda: f"password file {missing}" in box.last_error)


# TLS.


def test_tls_with_the_right_authority(tmp_path: Path, password_file: Path) -> None:
    with (
        Mosquitto(tmp_path, user="box", password=PASSWORD, tls=True) as broker,
        Listener(broker, TOPICS.event) as listener,
        running(
            broker.port,
            tmp_path,
            tls=True,
            ca_file=broker.ca_file,
            username="box",
            password_file=str(password_file),
        ) as box,
    ):
        box.publish_events(5)
        listener.wait_for(lambda messages: len(messages) == 5)


def test_an_authority_that_is_not_trusted(tmp_path: Path) -> None:
    other = CertificateAuthority(tmp_path / "other")
    with (
        Mosquitto(tmp_path, tls=True) as broker,
        running(broker.port, tmp_path, tls=True, ca_file=str(other.certificate)) as box,
    ):
        until(lambda: "certificate is not trusted" in box.last_error)
        assert "mqtt.ca_file" in box.last_error


def test_a_certificate_for_another_host(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path, tls=True, host_name="other.example") as broker,
        running(broker.port, tmp_path, tls=True, ca_file=broker.ca_file) as box,
    ):
        until(lambda: "mqtt.host must be a name that stands in the broker's certificate" in box.last_error)
        assert "localhost" in box.last_error


def test_tls_to_a_plain_port(broker: Mosquitto, tmp_path: Path) -> None:
    with running(broker.port, tmp_path, tls=True) as box:
        until(lambda: f"is {broker.port} the port for TLS?" in box.last_error)


def test_plain_to_a_tls_port(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, tls=True) as broker, running(broker.port, tmp_path) as box:
        until(lambda: "mqtt.tls" in box.last_error)


def test_an_authority_file_that_is_none(broker: Mosquitto, tmp_path: Path) -> None:
    rubbish = tmp_path / "ca.pem"
    rubbish.write_text("no certificate")
    with running(broker.port, tmp_path, tls=True, ca_file=str(rubbish)) as box:
        until(lambda: str(rubbish) in box.last_error)


# Not there, or something else.


def test_nobody_listens(tmp_path: Path) -> None:
    port = free_port()
    with running(port, tmp_path) as box:
        until(lambda: f"localhost:{port}: refuses connections" in box.last_error)


def test_a_name_that_does_not_exist(tmp_path: Path) -> None:
    with running(1883, tmp_path, host="nobody.invalid") as box:
        until(lambda: "nobody.invalid:1883: cannot be reached" in box.last_error)


def test_something_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("affectd.publish.connection.CONNACK_S", dict.fromkeys(MQTTProtocolVersion, 0.5))
    with socket.create_server(("127.0.0.1", 0)) as server, running(server.getsockname()[1], tmp_path) as box:
        until(lambda: "does not answer CONNECT" in box.last_error, 40)


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_something_that_answers_connect_with_what_cannot_be_parsed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, running(server.getsockname()[1], tmp_path) as box:
        server.settimeout(20)
        while not box.last_error:
            with server.accept()[0] as visitor:
                visitor.sendall(NO_TEXT_FOR_A_TOPIC)
                visitor.recv(1000)
                until(lambda: visitor.recv(1000) == b"")
        assert "answers with no MQTT; is " in box.last_error
    assert "Traceback" not in capfd.readouterr().err


# Another version, another client.


def test_a_broker_that_knows_only_3_1_1(tmp_path: Path) -> None:
    with EmbeddedBroker() as broker, running(broker.port, tmp_path, flush_s=5) as box:
        until(lambda: box.connected)
        assert box.publisher.status.protocol == "MQTT 3.1.1"
        box.publish_events(20)
        until(lambda: box.outbox.depth == 0 and box.publisher.status.sent == 20)


def test_mqtt_5_comes_first(broker: Mosquitto, tmp_path: Path) -> None:
    with running(broker.port, tmp_path) as box:
        until(lambda: box.connected)
        assert box.publisher.status.protocol == "MQTT 5"
        broker.restart()
        until(lambda: box.publisher.status.reconnects == 1 and box.connected, 30)
        assert box.publisher.status.protocol == "MQTT 5"


def test_two_clients_with_one_id_are_told_and_do_not_fight(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(broker.port, tmp_path / "first") as first, running(broker.port, tmp_path / "second") as second:
        # mosquitto just hangs up; others say that the session was taken over.
        until(lambda: "another client has the same client id" in caplog.text, 60)
        assert "device.id" in caplog.text
        until(lambda: any("another client has the same client id" in box.last_error for box in (first, second)), 60)
        before = broker.log.count("as affectd-box (")
        time.sleep(5)
        assert broker.log.count("as affectd-box (") - before < 10


# Brokers that misbehave.


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_message_that_is_no_mqtt_is_a_sentence_and_ends_in_a_new_connection(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with OddBroker(after_subscribe=NO_TEXT_FOR_A_TOPIC) as odd, running(odd.port, tmp_path) as box:
        until(lambda: box.publisher.status.reconnects >= 1, 30)
        until(lambda: odd.connections >= 2, 30)
    assert "the broker sent what is no MQTT (UnicodeDecodeError" in caplog.text
    assert "Traceback" not in capfd.readouterr().err


def test_a_refused_subscription_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with OddBroker(suback=NOT_AUTHORIZED) as odd, running(odd.port, tmp_path) as box:
        until(lambda: box.publisher.status.subscription_error)
        error = box.publisher.status.subscription_error or ""
        assert TOPICS.privacy_command in error
        assert "Not authorized" in error
        until(lambda: TOPICS.home_assistant_status in caplog.text)
        assert "see its ACL" in caplog.text
        assert box.connected


def test_what_the_broker_calls_too_large_is_not_sent_to_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        Mosquitto(tmp_path, more="max_packet_size 2000\n") as broker,
        Listener(broker, TOPICS.event) as listener,
        running(broker.port, tmp_path) as box,
    ):
        box.outbox.append(lambda _seq, _id: b"x" * 5000)
        box.publish_events(1)
        listener.wait_for(lambda messages: len(messages) == 1)
        assert listener.messages[0].json["seq"] == 2
        until(lambda: f"the broker does not take {TOPICS.discovery} (larger than the 2000 bytes" in caplog.text)
        until(lambda: TOPICS.discovery in box.last_error)
        until(lambda: box.outbox.depth == 0)
        assert box.outbox.dropped == 1
        assert box.publisher.status.reconnects == 0


def test_a_broker_that_acknowledges_nothing_is_connected_to_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("affectd.publish.connection_loop.UNACKNOWLEDGED_S", 1.0)
    with OddBroker() as odd, running(odd.port, tmp_path) as box:
        until(lambda: box.connected)
        box.publish_events(1)
        until(lambda: odd.connections >= 2, 30)
        assert box.outbox.depth == 1


def test_a_fault_in_a_callback_does_not_end_the_session(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker, TOPICS.event) as listener, running(broker.port, tmp_path) as box:
        until(lambda: box.connected)
        listener.wait_for(lambda _: "SUBACK to affectd-box" in broker.log)
        box.publisher._on_privacy = lambda _: 1 / 0  # type: ignore[assignment,return-value]
        listener.publish(TOPICS.privacy_command, "on")
        until(lambda: "ZeroDivisionError" in box.last_error)
        box.publish_events(2)
        listener.wait_for(lambda messages: len(messages) == 2, 30)

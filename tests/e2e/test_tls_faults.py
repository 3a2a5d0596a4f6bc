"""Certificates that are wrong, on either side: said in a sentence, never passed over, and mended without a restart."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest

from affectd.config import MqttConfig
from e2e.completeness import EVENT, ROOT, assert_complete, count, last_seq, newer_than_all_in, restless, stop
from e2e.program import command, environment
from support.broker import Listener, Mosquitto
from support.certificates import CertificateAuthority
from support.fault_table import FaultTable
from support.publishing import TOPICS, running
from support.waiting import until

# The broker's certificate.


@pytest.mark.parametrize(
    ("fault", "host_name", "days", "sentence"),
    [
        ("broker's certificate expired", "localhost", -1, "certificate has expired: renew it on the broker"),
        (
            "broker's certificate: name wrong",
            "other.example",
            2,
            "mqtt.host must be a name that stands in the broker's",
        ),
    ],
)
def test_a_wrong_certificate_of_the_broker_is_said_and_costs_no_event(
    tmp_path: Path, fault_table: FaultTable, fault: str, host_name: str, days: int, sentence: str
) -> None:
    broker = Mosquitto(tmp_path, tls=True)
    with (
        broker,
        Listener(broker, f"{ROOT}/#", durable=True) as listener,
        restless(tmp_path, broker) as daemon,
    ):
        listener.wait_for(lambda messages: count(messages) >= 1)
        broker.renew_certificate(host_name, days=days)
        broker.restart()
        until(lambda: sentence in daemon.log)
        stored = last_seq(daemon.outbox)
        until(lambda: last_seq(daemon.outbox) >= stored + 2)
        # Nothing goes to whoever cannot prove who he is; what went before may arrive late.
        assert all(event.json["seq"] <= stored for event in listener.on(EVENT))
        broker.renew_certificate()
        broker.restart()
        recovered_s = newer_than_all_in(daemon.outbox, listener)
        stop(daemon, listener)
    repeated = assert_complete(listener.on(EVENT), daemon.outbox)
    assert "Traceback" not in daemon.log
    fault_table.record(fault, recovered_s=recovered_s, repeated=repeated, remark="back: once it is renewed")


# It cannot be switched off.


def test_no_setting_switches_the_check_off() -> None:
    keys = {field.name for field in dataclasses.fields(MqttConfig)}
    about_tls = {
        key for key in keys if any(word in key for word in ("tls", "cert", "verif", "secure", "check", "host"))
    }
    assert about_tls == {"host", "tls", "cert_file"}


@pytest.mark.parametrize("key", ["tls_insecure", "insecure", "tls_verify", "check_hostname"])
def test_a_setting_that_would_switch_it_off_is_refused(tmp_path: Path, key: str) -> None:
    settings = tmp_path / "affectd.toml"
    settings.write_text(f"[mqtt]\ntls = true\n{key} = true\n")
    ended = affectd("run", "--config", str(settings))
    assert ended.returncode == 3
    assert f"{settings}, line 3: mqtt.{key}: there is no such key" in ended.stderr


def test_tls_that_was_meant_and_is_off_is_warned_of(tmp_path: Path) -> None:
    certificate, password = tmp_path / "ca.pem", tmp_path / "password"
    certificate.touch()
    password.touch()
    settings = tmp_path / "affectd.toml"
    settings.write_text(
        f'[mqtt]\nhost = "broker.lan"\nport = 8883\nca_file = "{certificate}"\n'
        f'username = "box"\npassword_file = "{password}"\n'
    )
    said = affectd("config", "check", str(settings)).stderr
    assert "mqtt.port is 8883, which is usual with TLS, but mqtt.tls is false" in said
    assert "mqtt.ca_file and mqtt.cert_file have no effect while mqtt.tls is false" in said
    assert "The password travels unencrypted to broker.lan; set mqtt.tls = true" in said


def affectd(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of it to its end."""
    return subprocess.run(
        command(*arguments), env=environment(), capture_output=True, text=True, timeout=60, check=False
    )


# The box's own certificate.


class Door:
    """A broker that asks for certificates, and how a box comes in."""

    def __init__(self, folder: Path, tls_version: str) -> None:
        self.broker = Mosquitto(folder, tls=True, client_certificates=True, more=f"tls_version {tls_version}\n")
        assert self.broker.authority is not None
        self.authority = self.broker.authority
        self._folder = folder

    def error(self, **files: str) -> str:
        """Return what a box with these settings says when it stays outside."""
        with running(self.broker.port, self._folder, tls=True, ca_file=self.broker.ca_file, **files) as box:
            until(lambda: box.last_error)
            assert not box.connected
            return box.last_error


@pytest.fixture(params=["tlsv1.2", "tlsv1.3"])
def door(request: pytest.FixtureRequest, tmp_path: Path) -> Door:
    return Door(tmp_path, request.param)


def test_a_box_comes_in_with_its_certificate(door: Door, tmp_path: Path) -> None:
    certificate, key = map(str, door.authority.issue("box"))
    with (
        door.broker as broker,
        Listener(broker, TOPICS.event) as listener,
        running(broker.port, tmp_path, tls=True, ca_file=broker.ca_file, cert_file=certificate, key_file=key) as box,
    ):
        box.publish_events(3)
        listener.wait_for(lambda messages: len(messages) == 3)
        assert box.publisher.status.protocol == "MQTT 5"


def test_a_broker_that_asks_for_a_certificate_is_understood(door: Door) -> None:
    with door.broker:
        assert "asks for a client certificate; set mqtt.cert_file and mqtt.key_file" in door.error()


def test_a_certificate_that_the_broker_does_not_know_is_named(door: Door, tmp_path: Path) -> None:
    certificate, key = map(str, CertificateAuthority(tmp_path / "other").issue("box"))
    with door.broker:
        error = door.error(cert_file=certificate, key_file=key)
    assert "does not take our certificate" in error
    assert f"is mqtt.cert_file {certificate} from an authority it trusts?" in error


def test_a_certificate_of_ours_that_has_expired_is_named(door: Door) -> None:
    certificate, key = map(str, door.authority.issue("box", days=-1))
    with door.broker:
        error = door.error(cert_file=certificate, key_file=key)
    assert f"says that our certificate has expired: renew mqtt.cert_file {certificate}" in error


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[CertificateAuthority, str, str]:
    """Authority, certificate and key of a box; no broker is needed to see that they are no good."""
    authority = CertificateAuthority(tmp_path / "ca")
    certificate, key = authority.issue("box")
    return authority, str(certificate), str(key)


def error_of(folder: Path, **files: str) -> str:
    with running(1, folder, tls=True, **files) as box:
        until(lambda: box.last_error)
        return box.last_error


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(
    certificate: tuple[CertificateAuthority, str, str], tmp_path: Path
) -> None:
    authority, cert_file, key_file = certificate
    encrypted = authority.encrypt(Path(key_file), "secret")
    error = error_of(tmp_path, cert_file=cert_file, key_file=str(encrypted))
    assert f"mqtt.key_file {encrypted}: is encrypted with a passphrase" in error
    assert f"openssl pkey -in {encrypted} -out" in error


def test_a_key_of_another_certificate_is_told(
    certificate: tuple[CertificateAuthority, str, str], tmp_path: Path
) -> None:
    authority, cert_file, _ = certificate
    other_key = authority.issue("other")[1]
    error = error_of(tmp_path, cert_file=cert_file, key_file=str(other_key))
    assert f"mqtt.key_file {other_key}: is not the key of mqtt.cert_file {cert_file}" in error


@pytest.mark.parametrize("key", ["ca_file", "cert_file", "key_file"])
def test_a_file_that_has_gone_or_is_none_is_named(
    certificate: tuple[CertificateAuthority, str, str], tmp_path: Path, key: str
) -> None:
    authority, cert_file, key_file = certificate
    files = {"ca_file": str(authority.certificate), "cert_file": cert_file, "key_file": key_file}
    Path(files[key]).write_text("no certificate and no key")
    assert f"mqtt.{key} {files[key]}" in (error := error_of(tmp_path / "none", **files))
    assert "in PEM form" in error
    Path(files[key]).unlink()
    assert f"mqtt.{key} {files[key]}: cannot be read: No such file" in error_of(tmp_path / "gone", **files)


def test_a_file_that_is_missing_at_the_start_is_a_wrong_setting(tmp_path: Path) -> None:
    settings = tmp_path / "affectd.toml"
    settings.write_text('[mqtt]\ntls = true\ncert_file = "/etc/affectd/gone.pem"\n')
    ended = affectd("run", "--config", str(settings))
    assert ended.returncode == 3
    assert f'{settings}, line 3: mqtt.cert_file = "/etc/affectd/gone.pem": must be a file' in ended.stderr

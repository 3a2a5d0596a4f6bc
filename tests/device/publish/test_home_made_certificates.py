"""Certificates as people make them at home: believed where every other client believes them, else told how to mend."""

from __future__ import annotations

import codecs
import re
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from affectd.config import MqttConfig
from affectd.publish import tls
from support.broker import Listener, Mosquitto
from support.certificates import NEW_KEY, openssl, sign
from support.publishing import TOPICS, running
from support.waiting import until

CA = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial")
OWN = ("-signkey", "ca.key")


def mosquitto_manual(folder: Path) -> None:
    """`openssl req -new -x509 -extensions v3_ca`, then `x509 -req -CA`: no key usage, no subjectAltName."""
    ca = ("-x509", "-extensions", "v3_ca", "-keyout", "ca.key", "-out", "ca.crt", "-days", "30", "-subj", "/CN=home")
    openssl(folder, "req", "-new", *NEW_KEY, *ca)
    sign(folder, "broker", *CA, subject="/CN=localhost")


def easy_rsa(folder: Path) -> None:
    """Nothing is critical; the broker's identifier names its issuer and serial."""
    authority = "basicConstraints=CA:TRUE\nsubjectKeyIdentifier=hash\nkeyUsage=cRLSign,keyCertSign\n"
    sign(folder, "ca", *OWN, subject="/CN=Easy-RSA CA", extensions=authority)
    sign(
        folder, "broker", *CA, subject="/CN=localhost",
        extensions="basicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid,issuer:always\n"
        "extendedKeyUsage=serverAuth\nkeyUsage=digitalSignature,keyEncipherment\nsubjectAltName=DNS:localhost\n",
    )  # fmt: skip


def alone(folder: Path) -> None:
    """`openssl req -x509`: the broker's certificate is its own authority."""
    openssl(folder, "req", "-x509", *NEW_KEY, "-keyout", "broker.key", "-out", "broker.crt", "-subj", "/CN=localhost")
    (folder / "ca.crt").write_bytes((folder / "broker.crt").read_bytes())


def mkcert(folder: Path) -> None:
    """An authority with a path length, a certificate without a common name."""
    authority = (
        "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n"
    )
    sign(folder, "ca", *OWN, subject="/O=mkcert development CA/CN=mkcert", extensions=authority)
    sign(
        folder, "broker", *CA, subject="/O=mkcert development certificate",
        extensions="keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\nauthorityKeyIdentifier=keyid\n"
        "subjectAltName=DNS:localhost,IP:127.0.0.1\n",
    )  # fmt: skip


def version_1(folder: Path) -> None:
    """`x509 -req -signkey` without a single extension."""
    sign(folder, "ca", *OWN, subject="/CN=version one")
    sign(folder, "broker", *CA, subject="/CN=localhost")


def only_the_intermediate(folder: Path) -> None:
    """The box was given the certificate of the authority that signed, not of the one above it."""
    sign(folder, "root", "-signkey", "root.key", subject="/CN=root", extensions="basicConstraints=CA:TRUE\n")
    root = ("-CA", "root.crt", "-CAkey", "root.key", "-CAcreateserial")
    sign(folder, "ca", *root, subject="/CN=intermediate", extensions="basicConstraints=CA:TRUE\n")
    sign(folder, "broker", *CA, subject="/CN=localhost")


def several_in_one_file(folder: Path) -> None:
    """Another authority first, with text before each, as `openssl x509 -text` writes it."""
    mosquitto_manual(folder)
    sign(folder, "other", "-signkey", "other.key", subject="/CN=other", extensions="basicConstraints=CA:TRUE\n")
    for name in ("other", "ca"):
        openssl(folder, "x509", "-in", f"{name}.crt", "-text", "-out", f"{name}.txt")
    (folder / "ca.crt").write_text("Zertifikate für daheim\n" + "".join(map(_text, (folder, folder), ("other", "ca"))))


def _text(folder: Path, name: str) -> str:
    return (folder / f"{name}.txt").read_text()


def resaved(change: Callable[[str], bytes]) -> Callable[[Path], None]:
    """As the manual makes it, saved again by an editor."""

    def make(folder: Path) -> None:
        mosquitto_manual(folder)
        file = folder / "ca.crt"
        file.write_bytes(change(file.read_text()))

    return make


MADE = {
    "mosquitto's manual": mosquitto_manual,
    "easy-rsa": easy_rsa,
    "openssl req -x509 alone": alone,
    "mkcert": mkcert,
    "version 1": version_1,
    "only the intermediate": only_the_intermediate,
    "several in one file": several_in_one_file,
    "CRLF": resaved(lambda text: text.replace("\n", "\r\n").encode()),
    "UTF-8 with a byte order mark": resaved(lambda text: codecs.BOM_UTF8 + text.encode()),
    "UTF-16": resaved(lambda text: text.encode("utf-16")),
    "indented": resaved(lambda text: "".join(f"    {line}\n" for line in text.splitlines()).encode()),
}


def broker_of(folder: Path, *, certificate: str = "broker.crt") -> Mosquitto:
    """A broker that shows what was made in the folder."""
    return Mosquitto(folder, more=f"certfile {folder}/{certificate}\nkeyfile {folder}/broker.key\n")


@pytest.mark.parametrize("make", MADE.values(), ids=MADE.keys())
def test_what_people_make_is_believed(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path)
    with (
        broker_of(tmp_path) as broker,
        Listener(broker, TOPICS.event) as listener,
        running(broker.port, tmp_path, tls=True, ca_file=str(tmp_path / "ca.crt")) as box,
    ):
        box.publish_events(1)
        until(lambda: box.connected or box.last_error, 20)
        assert box.last_error == ""
        listener.wait_for(len)


def test_an_address_is_believed_where_it_stands_in_the_certificate(tmp_path: Path) -> None:
    mkcert(tmp_path)
    ca_file = str(tmp_path / "ca.crt")
    with (
        broker_of(tmp_path) as broker,
        running(broker.port, tmp_path, host="127.0.0.1", tls=True, ca_file=ca_file) as box,
    ):
        until(lambda: box.connected, 20)


def test_every_python_checks_chain_and_host_and_none_is_strict(tmp_path: Path) -> None:
    mosquitto_manual(tmp_path)
    for ca_file in ("", str(tmp_path / "ca.crt")):
        context = tls.make_context(MqttConfig(tls=True, ca_file=ca_file))
        assert context.check_hostname
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert not context.verify_flags & ssl.VERIFY_X509_STRICT


# Refused, on every Python.


def error_of(folder: Path, **mqtt: str) -> str:
    """Return what a box says that stays outside."""
    mqtt = {"ca_file": str(folder / "ca.crt"), **mqtt}
    with broker_of(folder) as broker, running(broker.port, folder, tls=True, **mqtt) as box:
        until(lambda: box.last_error, 20)
        assert not box.connected
        return box.last_error


def line_in(error: str) -> str:
    """Return the command that the sentence tells the reader to type."""
    found = re.search(r"'((?:printf|openssl|cat) .*?)'", error)
    assert found is not None, error
    return found[1]


def no_ca(folder: Path) -> None:
    sign(folder, "ca", *OWN, subject="/CN=home", extensions="subjectKeyIdentifier=hash\n")
    sign(folder, "broker", *CA, subject="/CN=localhost")


def ca_false(folder: Path) -> None:
    sign(folder, "ca", *OWN, subject="/CN=home", extensions="basicConstraints=CA:FALSE\n")
    sign(folder, "broker", *CA, subject="/CN=localhost")


def no_cert_sign(folder: Path) -> None:
    extensions = "basicConstraints=CA:TRUE\nkeyUsage=digitalSignature\n"
    sign(folder, "ca", *OWN, subject="/CN=home", extensions=extensions)
    sign(folder, "broker", *CA, subject="/CN=localhost")


def expired_ca(folder: Path) -> None:
    sign(folder, "ca", *OWN, subject="/CN=home", extensions="basicConstraints=CA:TRUE\n", days=-1)
    sign(folder, "broker", *CA, subject="/CN=localhost")


def client_only(folder: Path) -> None:
    mosquitto_manual(folder)
    sign(folder, "broker", *CA, subject="/CN=localhost", extensions="extendedKeyUsage=clientAuth\n")


def other_name(folder: Path) -> None:
    mosquitto_manual(folder)
    sign(folder, "broker", *CA, subject="/CN=broker.lan")


def other_name_and_alone(folder: Path) -> None:
    openssl(folder, "req", "-x509", *NEW_KEY, "-keyout", "broker.key", "-out", "broker.crt", "-subj", "/CN=broker.lan")
    (folder / "ca.crt").symlink_to("broker.crt")


def missing_intermediate(folder: Path) -> None:
    sign(folder, "ca", *OWN, subject="/CN=root", extensions="basicConstraints=CA:TRUE\n")
    sign(folder, "intermediate", *CA, subject="/CN=the one between", extensions="basicConstraints=CA:TRUE\n")
    between = ("-CA", "intermediate.crt", "-CAkey", "intermediate.key", "-CAcreateserial")
    sign(folder, "broker", *between, subject="/CN=localhost")


LACKING = {
    "no CA:TRUE": (no_ca, "basicConstraints = CA:TRUE"),
    "CA:FALSE": (ca_false, "basicConstraints = CA:TRUE"),
    "no keyCertSign": (no_cert_sign, "keyUsage, where it has one, keyCertSign"),
    "expired authority": (expired_ca, "the certificate of its authority has expired"),
    "for clients only": (client_only, "its extendedKeyUsage must be absent or name serverAuth"),
    "another name": (other_name, "which has no subjectAltName, CN broker.lan; or this adds the name"),
    "another name, self-signed": (other_name_and_alone, "which has no subjectAltName, CN broker.lan; or this adds"),
    "no intermediate": (missing_intermediate, "it lacks the certificate of its issuer, 'the one between'"),
}


@pytest.mark.parametrize(("make", "lack"), LACKING.values(), ids=LACKING.keys())
def test_what_lacks_something_is_refused_and_the_line_that_is_told_mends_it(
    tmp_path: Path, make: Callable[[Path], None], lack: str
) -> None:
    make(tmp_path)
    error = error_of(tmp_path)
    assert lack in error
    subprocess.run(["sh", "-c", line_in(error)], cwd=tmp_path, check=True, capture_output=True)
    if (tmp_path / "new-ca.crt").exists():
        (tmp_path / "new-ca.crt").replace(tmp_path / "ca.crt")
    shown = "chain.crt" if (tmp_path / "chain.crt").exists() else "broker.crt"
    (tmp_path / "mosquitto").rename(tmp_path / "before")
    with (
        broker_of(tmp_path, certificate=shown) as broker,
        running(broker.port, tmp_path, tls=True, ca_file=str(tmp_path / "ca.crt")) as box,
    ):
        until(lambda: box.connected, 20)


def test_an_address_that_only_the_common_name_has_is_refused_and_the_line_mends_it(tmp_path: Path) -> None:
    mosquitto_manual(tmp_path)
    sign(tmp_path, "broker", *CA, subject="/CN=127.0.0.1")
    error = error_of(tmp_path, host="127.0.0.1")
    assert "IP address mismatch" in error
    assert "subjectAltName=IP:127.0.0.1" in line_in(error)


def test_an_expired_certificate_and_a_foreign_authority_are_refused(tmp_path: Path) -> None:
    mosquitto_manual(tmp_path)
    sign(tmp_path, "broker", *CA, subject="/CN=localhost", days=-1)
    assert "its certificate has expired: renew it on the broker" in error_of(tmp_path)


def test_an_authority_that_was_made_anew_is_told_from_the_old_one(tmp_path: Path) -> None:
    mosquitto_manual(tmp_path / "old")
    version_1(tmp_path)
    sign(tmp_path, "ca", *OWN, subject="/CN=version one")
    assert "it holds another authority of the same name" in error_of(tmp_path)
    (tmp_path / "mosquitto").rename(tmp_path / "before")
    assert "it lacks the certificate of its issuer, 'version one'" in error_of(
        tmp_path, ca_file=str(tmp_path / "old" / "ca.crt")
    )


@pytest.mark.parametrize(
    ("options", "key", "lack"),
    [
        (("-md5",), NEW_KEY, "it is signed with MD5 or SHA-1"),
        (("-sha1",), NEW_KEY, "it is signed with MD5 or SHA-1"),
        ((), ["-newkey", "rsa:1024", "-nodes"], "the broker's key is too short: make one of 2048 bits"),
    ],
    ids=["md5", "sha1", "1024 bits"],
)
def test_what_is_too_weak_is_refused_by_name(
    tmp_path: Path, options: tuple[str, ...], key: list[str], lack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rsa = ("-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt")
    openssl(tmp_path, "req", "-x509", *rsa, "-subj", "/CN=home")  # MD5 goes with RSA alone
    openssl(tmp_path, "req", "-new", *key, "-keyout", "broker.key", "-out", "broker.csr", "-subj", "/CN=localhost")
    lenient = tmp_path / "openssl.cnf"  # or neither openssl nor mosquitto would touch it
    lenient.write_text("openssl_conf=a\n[a]\nssl_conf=b\n[b]\nsystem_default=c\n[c]\nCipherString=DEFAULT@SECLEVEL=0\n")
    monkeypatch.setenv("OPENSSL_CONF", str(lenient))
    openssl(tmp_path, "x509", "-req", "-in", "broker.csr", *CA, *options, "-out", "broker.crt")
    assert lack in error_of(tmp_path)


# Files of another form.


def test_a_file_of_another_form_is_named_with_the_line_that_converts_it(tmp_path: Path) -> None:
    mosquitto_manual(tmp_path)
    openssl(tmp_path, "x509", "-in", "ca.crt", "-outform", "DER", "-out", "ca.der")
    openssl(tmp_path, "pkey", "-in", "broker.key", "-outform", "DER", "-out", "key.der")
    openssl(
        tmp_path, "pkcs12", "-export", "-in", "broker.crt", "-inkey", "broker.key", "-passout", "pass:", "-out", "p12"
    )
    openssl(tmp_path, "crl2pkcs7", "-nocrl", "-certfile", "ca.crt", "-outform", "DER", "-out", "p7.der")
    openssl(tmp_path, "crl2pkcs7", "-nocrl", "-certfile", "ca.crt", "-out", "p7")
    certificate, key = str(tmp_path / "broker.crt"), str(tmp_path / "broker.key")
    for names, what in [
        ({"ca_file": "ca.der"}, "a certificate in DER form, and PEM form is needed: openssl x509 -inform DER"),
        ({"cert_file": "ca.der", "key_file": key}, "a certificate in DER form"),
        ({"cert_file": certificate, "key_file": "key.der"}, "a key in DER form"),
        ({"ca_file": "p12"}, "a PKCS#12 store"),
        ({"ca_file": "p7.der"}, "a PKCS#7 store in DER form"),
        ({"ca_file": "p7"}, "a PKCS#7 store, and"),
        ({"ca_file": "broker.csr"}, "a certificate request, which is not signed yet"),
    ]:
        files = {setting: str(tmp_path / file) for setting, file in names.items()}
        with running(1, tmp_path, tls=True, **files) as box:
            until(lambda: box.last_error)
            assert what in box.last_error
            named = next(file for file in files.values() if file not in {certificate, key})
            assert f"mqtt.{next(key for key in files if files[key] == named)} {named}: holds" in box.last_error
        line = box.last_error.rpartition("needed: ")[2].replace("-nodes", "-nodes -passin pass:")
        subprocess.run(["sh", "-c", line], cwd=tmp_path, check=True, capture_output=True)
        assert "-----BEGIN" in Path(f"{named}.pem").read_text()


def resave_with_mark(file: Path) -> None:
    file.write_bytes(codecs.BOM_UTF8 + file.read_bytes())


def test_a_box_comes_in_with_a_chain_and_files_that_an_editor_marked(tmp_path: Path) -> None:
    mosquitto_manual(tmp_path)
    sign(tmp_path, "between", *CA, subject="/CN=between", extensions="basicConstraints=CA:TRUE\n")
    between = ("-CA", "between.crt", "-CAkey", "between.key", "-CAcreateserial")
    sign(tmp_path, "box", *between, subject="/CN=box")
    chain = tmp_path / "chain.crt"
    chain.write_text((tmp_path / "box.crt").read_text() + (tmp_path / "between.crt").read_text())
    for file in (chain, tmp_path / "box.key"):
        resave_with_mark(file)
    more = f"certfile {tmp_path}/broker.crt\nkeyfile {tmp_path}/broker.key\ncafile {tmp_path}/ca.crt\n"
    ours = {"ca_file": str(tmp_path / "ca.crt"), "cert_file": str(chain), "key_file": str(tmp_path / "box.key")}
    with (
        Mosquitto(tmp_path, more=f"{more}require_certificate true\n") as broker,
        running(broker.port, tmp_path, tls=True, **ours) as box,
    ):
        until(lambda: box.connected or box.last_error, 20)
        assert box.last_error == ""


def test_a_chain_that_begins_with_the_authority_is_told(tmp_path: Path) -> None:
    mosquitto_manual(tmp_path)
    chain = tmp_path / "chain.crt"
    chain.write_text((tmp_path / "ca.crt").read_text() + (tmp_path / "broker.crt").read_text())
    with running(1, tmp_path, tls=True, cert_file=str(chain), key_file=str(tmp_path / "broker.key")) as box:
        until(lambda: box.last_error)
        assert "the first certificate there must be the box's own" in box.last_error


def test_a_certificate_of_ours_that_is_too_weak_is_told(tmp_path: Path) -> None:
    weak = ("-newkey", "rsa:1024", "-nodes", "-keyout", "box.key", "-out", "box.crt", "-subj", "/CN=box")
    openssl(tmp_path, "req", "-x509", *weak)
    with running(1, tmp_path, tls=True, cert_file=f"{tmp_path}/box.crt", key_file=f"{tmp_path}/box.key") as box:
        until(lambda: box.last_error)
        assert "its key is too short; make one with 'openssl genrsa 2048'" in box.last_error

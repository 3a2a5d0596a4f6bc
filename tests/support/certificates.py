"""A certificate authority made on the spot with openssl."""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

BOOKS = """\
[ca]
default_ca = own
[own]
database = index
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
policy = names
[names]
commonName = supplied
"""
"""Configuration of `openssl ca`, which sets dates in the past too; `openssl x509` of version 3.5 does not."""


class CertificateAuthority:
    """Its `certificate` is the file to trust."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._issued = 0
        self.certificate = folder / "ca.pem"
        (folder / "books").write_text(BOOKS)
        (folder / "index").touch()
        usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        self._openssl(
            "req", "-x509", *NEW_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=CA", *usage
        )

    def issue(self, name: str, *, days: int = 2) -> tuple[Path, Path]:
        """Return the files of a certificate for this host or client and of its key; expired with negative days."""
        self._issued += 1
        certificate, key = f"{name}-{self._issued}.pem", f"{name}-{self._issued}.key"
        (self._folder / "extensions").write_text(
            f"subjectAltName = DNS:{name}\nbasicConstraints = CA:FALSE\nauthorityKeyIdentifier = keyid\n"
        )
        self._openssl("req", *NEW_KEY, "-keyout", key, "-out", "request", "-subj", f"/CN={name}")
        now = datetime.now(timezone.utc)
        begin, end = (f"{now + timedelta(days=when):%Y%m%d%H%M%SZ}" for when in (-3, days))
        self._openssl(
            "ca", "-batch", "-config", "books", "-in", "request", "-cert", "ca.pem", "-keyfile", "ca.key",
            "-out", certificate, "-startdate", begin, "-enddate", end, "-extfile", "extensions", "-notext",
        )  # fmt: skip
        return self._folder / certificate, self._folder / key

    def encrypt(self, key: Path, passphrase: str) -> Path:
        """Return the file of this key as it is when it wants a passphrase."""
        encrypted = key.with_suffix(".encrypted")
        self._openssl("pkey", "-in", str(key), "-aes256", "-passout", f"pass:{passphrase}", "-out", str(encrypted))
        return encrypted

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)


def openssl(folder: Path, *arguments: str, extensions: str = "") -> None:
    """Run it in `folder`; what has an `-extfile ext` there finds `extensions` in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ext").write_text(extensions)
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def sign(folder: Path, name: str, *options: str, subject: str, extensions: str = "", days: int = 30) -> None:
    """Make `name`.key and `name`.crt there as mosquitto's manual does: a request, signed with `options`.

    Without extensions the certificate has none; `-signkey X.key` makes it an authority, `-CA X.crt -CAkey X.key
    -CAcreateserial` lets X sign it.
    """
    openssl(folder, "req", "-new", *NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
    more = ["-extfile", "ext"] if extensions else []
    openssl(
        folder, "x509", "-req", "-in", f"{name}.csr", *options, "-out", f"{name}.crt", "-days", str(days), *more,
        extensions=extensions,
    )  # fmt: skip

"""A certificate authority made on the spot with openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class CertificateAuthority:
    """Its `certificate` is the file to trust."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.certificate = folder / "ca.pem"
        usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        self._openssl(
            "req", "-x509", *NEW_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=CA", *usage
        )

    def issue(self, host_name: str) -> tuple[Path, Path]:
        """Give the files of a server's certificate for this name, and of its key."""
        (self._folder / "server.ext").write_text(
            f"subjectAltName = DNS:{host_name}\nbasicConstraints = CA:FALSE\nauthorityKeyIdentifier = keyid\n"
        )
        self._openssl("req", *NEW_KEY, "-keyout", "server.key", "-out", "server.csr", "-subj", f"/CN={host_name}")
        self._openssl(
            "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", "server.pem", "-days", "2", "-extfile", "server.ext",
        )  # fmt: skip
        return self._folder / "server.pem", self._folder / "server.key"

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)

"""The broker of systemd/mosquitto: its own files in a real mosquitto, with only paths and ports made the test's own."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

from support.broker import free_port
from support.certificates import CertificateAuthority
from support.waiting import until

EXAMPLE = Path(__file__).parents[2] / "systemd" / "mosquitto"


def password_of(user: str) -> str:
    """Return the password that the broker knows of a user."""
    return f"{user}'s own"


class ExampleBroker:
    """Runs while entered, or from `start` to `kill`, on ports that it keeps over restarts.

    `queue` are lines that stand in for what affectd.conf says of queues and of saving.
    """

    host = "localhost"

    def __init__(
        self, folder: Path, users: Iterable[str], *, certificates_of_boxes: bool = False, queue: str | None = None
    ) -> None:
        self.folder = folder
        self.port, self.tls_port = free_port(), free_port()
        self.boxes = CertificateAuthority(folder / "boxes")
        authority = CertificateAuthority(folder / "ca")
        certificate, key = authority.issue("localhost")
        self.ca_file = authority.certificate
        places = {
            "/etc/mosquitto/certs/broker.pem": str(certificate),
            "/etc/mosquitto/certs/broker.key": str(key),
            "/etc/mosquitto/certs/boxes-ca.pem": str(self.boxes.certificate),
            "/etc/mosquitto": str(folder),
            "listener 1883": f"listener {self.port}",
            "listener 8883": f"listener {self.tls_port}",
        }
        (folder / "conf.d").mkdir(parents=True)
        for name in ("affectd.conf", "affectd-tls.conf"):
            text = (EXAMPLE / name).read_text()
            for theirs, ours in places.items():
                text = text.replace(theirs, ours)
            if certificates_of_boxes:
                text = re.sub(r"^#(\w+ \S+)$", r"\1", text, flags=re.MULTILINE)
            if queue is not None and name == "affectd.conf":
                text = re.sub(r"^(max_queued|persistent_client|autosave)_.*\n", "", text, flags=re.MULTILINE) + queue
            (folder / "conf.d" / name).write_text(text)
        shutil.copy(EXAMPLE / "affectd.acl", folder)
        self._passwords = folder / "affectd.passwd"
        self._passwords.write_text("".join(f"{user}:{password_of(user)}\n" for user in users))
        subprocess.run(["mosquitto_passwd", "-U", str(self._passwords)], check=True)
        self._log = folder / "mosquitto.log"
        # What Debian's own mosquitto.conf says, in small.
        (folder / "mosquitto.conf").write_text(
            f"user root\npersistence true\npersistence_location {folder}/\nlog_dest file {self._log}\n"
            f"include_dir {folder}/conf.d\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ExampleBroker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self._log.read_text() if self._log.exists() else ""

    def start(self) -> None:
        """Start, and wait until it runs."""
        before = len(self.log)
        with (self.folder / "stderr").open("ab") as stderr:
            self._process = subprocess.Popen(["mosquitto", "-c", str(self.folder / "mosquitto.conf")], stderr=stderr)
        until(lambda: " running" in self.log[before:], 30)

    def kill(self) -> None:
        """End it as a power cut would; harmless when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def add_user(self, user: str) -> None:
        """Let one more in, as systemd/README.md says: mosquitto_passwd and a reload."""
        subprocess.run(["mosquitto_passwd", "-b", str(self._passwords), user, password_of(user)], check=True)
        self._reload()

    def remove_rules(self, containing: str) -> None:
        """Take the lines that contain this out of the rules, and a reload."""
        rules = self.folder / "affectd.acl"
        lines = rules.read_text().splitlines(keepends=True)
        rules.write_text("".join(line for line in lines if containing not in line))
        self._reload()

    def _reload(self) -> None:
        before = self.log.count("Reloading config")
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)
        until(lambda: self.log.count("Reloading config") > before, 15)

"""A box with the service installed, in a mount namespace: its /etc/affectd and /var/lib/affectd, seen by a command.

Nothing of the machine is changed: the namespace has folders of the test in place of /etc and /var/lib.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

AFFECTD = (sys.executable, "-m", "affectd.cli.main")
SERVICE_UID = 12345
"""Who owns the state directory; nobody else does."""
ROOT: tuple[str, ...] = ()
NORMAL_USER = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
"""Somebody who may not read what belongs to others: root's own number, so that Python may lie in its home."""
_ENTER = """
mkdir -p "$1/orig"
mount --bind /etc "$1/orig"
for file in "$1"/orig/*; do ln -sfn "$file" "$1/etc/${file##*/}"; done
mount --bind "$1/etc" /etc
mount --bind "$1/lib" /var/lib
shift
exec "$@"
"""
_HIDE = """
for place in /usr/local/bin /usr/share/doc; do
    mount --bind "$place" "$place"
    mount -o remount,ro,bind "$place"
done
mkdir -p "$1/opt-was"
mount --bind /opt "$1/opt-was"
for file in "$1"/opt-was/*; do ln -sfn "$file" "$1/opt/${file##*/}"; done
mount --bind "$1/opt" /opt
[ ! -d /run/systemd ] || mount -t tmpfs none /run/systemd
for file in passwd shadow group gshadow; do cp --remove-destination "$1/orig/$file" "/etc/$file"; done
shift
exec "$@"
"""
"""Keeps what uninstalling removes, and the service manager and users of this machine, out of its reach."""
UNINSTALL = Path(__file__).parents[2] / "scripts" / "uninstall-device"


class InstalledBox:
    """What scripts/install-device leaves on a box, below a folder of the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.etc, self.state = folder / "etc" / "affectd", folder / "lib" / "affectd"
        self.settings, self.password = self.etc / "affectd.toml", self.etc / "mqtt-password"
        self.privacy = self.state / "privacy"

    def install(self, settings: str = "") -> None:
        """Put settings, an empty password and the state directory where the service has them."""
        self.etc.mkdir(parents=True)
        self.settings.write_text(settings)
        self.password.touch(0o600)
        self.state.mkdir(parents=True)
        os.chown(self.state, SERVICE_UID, SERVICE_UID)
        self.state.chmod(0o700)

    def say(self, privacy: str) -> None:
        """Let the service's last privacy command be this, `on` or `off`."""
        self.privacy.write_text(privacy + "\n")

    def line(self, arguments: Sequence[str], user: Sequence[str] = ROOT) -> list[str]:
        """Return the command line of `affectd` on the box."""
        (self._folder / "etc").mkdir(exist_ok=True)
        (self._folder / "lib").mkdir(exist_ok=True)
        enter = ["unshare", "--mount", "bash", "-euc", _ENTER, "-", str(self._folder)]
        return [*enter, "env", "--default-signal=INT", *user, *AFFECTD, *arguments]

    def run(
        self, *arguments: str, user: Sequence[str] = ROOT, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `affectd` on the box until it ends."""
        environ = {**self.environment(), **(environ or {})}
        line = self.line(arguments, user)
        return subprocess.run(line, env=environ, capture_output=True, text=True, timeout=100, check=False)

    def uninstall(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run scripts/uninstall-device on the box, where the release in use is this checkout."""
        program = self._folder / "opt" / "affectd" / "current" / "bin" / "affectd"
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\nexec {shlex.join(AFFECTD)} "$@"\n')
        program.chmod(0o755)
        hide = ("bash", "-euc", _HIDE, "-", str(self._folder), str(UNINSTALL), *arguments)
        enter = self.line(())[: -len(AFFECTD)]
        return subprocess.run(
            [*enter, *hide], env=self.environment(), capture_output=True, text=True, timeout=100, check=False
        )

    def start(self, *arguments: str, environ: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
        """Start `affectd` on the box."""
        environ = {**self.environment(), **(environ or {})}
        return subprocess.Popen(self.line(arguments), env=environ, text=True, **options)

    def environment(self) -> dict[str, str]:
        """Return an environment without the service's, and with a home folder of the test."""
        home = self._folder / "home"
        home.mkdir(exist_ok=True)
        systemds = ("AFFECTD_", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(systemds)}
        return {**kept, "HOME": str(home), "PYTHONIOENCODING": "utf-8"}

    def python(self, *arguments: str) -> None:
        """Run Python, outside of the namespace."""
        subprocess.run([sys.executable, *arguments], check=True, timeout=60)

    def give_away(self, file: Path) -> None:
        """Let the service's user own a file, and nobody else read it."""
        os.chown(file, SERVICE_UID, SERVICE_UID)
        file.chmod(0o600)

    def everything(self) -> dict[str, tuple[int, int, bytes]]:
        """Return owner, time of change and content of all that is in the service's folders and the home folder."""
        found = {}
        for top in (self.etc, self.state, Path(self.environment()["HOME"])):
            for place in top.rglob("*"):
                status = place.stat()
                content = place.read_bytes() if place.is_file() else b""
                found[str(place)] = (status.st_uid, status.st_mtime_ns, content)
        return found

"""Make the paths of the settings absolute, so that the check and the service mean the same files wherever they run."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from affectd.errors import ConfigError


def absolute(path: str, folder: Path, environ: Mapping[str, str]) -> str:
    """Return `path` with ~ replaced by the home folder, and below `folder` when it is relative. Raises ConfigError."""
    user, slash, rest = path.partition("/")
    if user.startswith("~"):
        path = f"{home(user[1:], environ).rstrip('/')}{slash}{rest}" or "/"
    return str(folder / path)


def home(user: str, environ: Mapping[str, str]) -> str:
    """Return a user's home folder; the caller's own for ''. Raises ConfigError where there is none."""
    if not user and environ.get("HOME"):
        return environ["HOME"]
    try:
        return (pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())).pw_dir
    except (KeyError, ValueError):
        who = f"this system knows no user {user!r}" if user else f"HOME is not set, and user {os.getuid()} has no entry"
        raise ConfigError(f"~{user} is no folder, for {who}; write the whole path") from None


def default_outbox(environ: Mapping[str, str]) -> Path:
    """Return the outbox's file in systemd's state directory, else below the home folder. Raises ConfigError."""
    state = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if state:
        return Path(state) / "outbox.db"
    try:
        return Path(home("", environ), ".local/state/affectd/outbox.db")
    except ConfigError:
        raise ConfigError(
            "no place for the events that wait and for the privacy switch's last command: STATE_DIRECTORY and HOME are "
            f"not set, and user {os.getuid()} has no home folder; set outbox.path to a file that stays over restarts"
        ) from None


def is_file(path: str) -> bool:
    """Whether the caller sees a file or a device there; also what it may not look at is none."""
    with suppress(OSError):
        return Path(path).exists() and not Path(path).is_dir()
    return False


def is_folder(path: str) -> bool:
    """Whether the caller sees a folder there."""
    with suppress(OSError):
        return Path(path).is_dir()
    return False


def working_folder() -> Path:
    """Return the folder that the caller stands in. Raises ConfigError when it was removed."""
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigError(f"the working directory is gone ({error.strerror}); change to another") from None

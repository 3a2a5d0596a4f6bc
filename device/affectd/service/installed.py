"""The service as scripts/install-device installs it on this box: where its things are, and its privacy."""

from __future__ import annotations

from pathlib import Path

from affectd.config.file import load
from affectd.errors import CaptureError, ConfigError
from affectd.service.privacy_sources import PrivacySources

SETTINGS = Path("/etc/affectd/affectd.toml")
PASSWORD = Path("/etc/affectd/mqtt-password")
STATE = Path("/var/lib/affectd")
"""Its state directory, and the home folder of its user."""
OUTBOX = STATE / "outbox.db"
AS_SERVICE = "call affectd as the service's user (sudo -u affectd affectd ...) or as root"


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder, or may be: what the caller must not look for counts as there."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def has_password() -> bool:
    """Whether the caller can read a password for the broker where systemd takes the service's from; empty: none."""
    try:
        return bool(PASSWORD.read_bytes().strip())
    except OSError:
        return False


def installed_privacy() -> PrivacySources | None:
    """Return what holds privacy on for the service installed on this box; None where none is.

    Its settings are those of its file, not of a drop-in of its unit. Raises CaptureError where the caller may not
    read them or the files that they name: then it is not known.
    """
    if not (is_there(SETTINGS) or is_there(STATE)):
        return None
    try:
        config = load(SETTINGS if is_there(SETTINGS) else None, {"HOME": str(STATE)})
    except ConfigError as error:
        raise _cannot_tell(str(error)) from None
    sources = PrivacySources.beside(Path(config.outbox.path) if config.outbox.path else OUTBOX, config.privacy)
    for file in (sources.command_file, sources.switch_file):
        if file is not None:
            _refuse_unreadable(file)
    return sources


def _refuse_unreadable(file: Path) -> None:
    try:
        file.open("rb").close()
    except PermissionError as error:
        raise _cannot_tell(f"{file} cannot be read ({error.strerror})") from None
    except OSError:
        pass  # not there, or no good: the sources judge that


def _cannot_tell(why: str) -> CaptureError:
    return CaptureError(
        "camera and microphone stay closed, for whether privacy is on for the service on this box cannot be told: "
        f"{why}; {AS_SERVICE}"
    )

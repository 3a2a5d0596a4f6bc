"""The password for the broker."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

from affectd.config import MqttConfig
from affectd.errors import BrokerError

_PASSWORD_CREDENTIAL = "mqtt-password"  # noqa: S105 - its name, not its value


def read_password(config: MqttConfig) -> str | None:
    """Read the password from its file or the systemd credential; None without either, and for an empty credential.

    Read at every connection, so that a changed one is used. Raises BrokerError when it cannot be read.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    path = Path(config.password_file) if config.password_file else Path(folder, _PASSWORD_CREDENTIAL)
    if not config.password_file and not (folder and path.exists()):
        return None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BrokerError(f"password file {path}: cannot be read: {error.strerror}") from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content:
        raise BrokerError(f"password file {path}: is saved as UTF-16 or is no text; save it as UTF-8")
    try:
        password = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise BrokerError(f"password file {path}: is not UTF-8 (byte {error.start + 1}); save it as UTF-8") from error
    if not password.strip():
        if not config.password_file:
            return None  # the service is handed one always, empty where its broker wants none
        raise BrokerError(f"password file {path}: is empty; write the password of {config.username!r} into it")
    return password

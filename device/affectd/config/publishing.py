"""The settings of who this box is, of its broker, of what waits for the broker, and of the privacy switch."""

from __future__ import annotations

from dataclasses import dataclass

from affectd.config.rules import host_fault, prefix_fault, topic_fault
from affectd.config.setting import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConfig:
    """Who this box is."""

    id: str = setting(
        "",
        "Name in topics and client id: letters, digits, - and _. Empty: the host name and a number of this machine's "
        "own; 'affectd check' shows it.",
        pattern=r"[A-Za-z0-9_-]{0,64}",
    )
    name: str = setting("", "Name that people see in Home Assistant. Empty: 'affectd' and the id.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttConfig:
    """The broker and what is published to it."""

    host: str = setting("localhost", "The broker's host name or address.", fault=host_fault)
    port: int = setting(1883, "The broker's port; 8883 is usual with TLS.", low=1, high=65535)
    tls: bool = setting(False, "Encrypt, and check the broker's certificate and host name.")
    ca_file: str = setting("", "CA certificate (PEM) to trust instead of the system's.", path=bool)
    cert_file: str = setting("", "Client certificate (PEM).", path=bool)
    key_file: str = setting("", "Key of the client certificate (PEM).", path=bool)
    username: str = setting("", "User name. Empty: the device's id when there is a password, else none.")
    password_file: str = setting(
        "",
        "File that holds the password. Empty: the systemd credential 'mqtt-password' when there is one.",
        path=bool,
        secret=True,
    )
    base_topic: str = setting("affectd", "First part of every topic.", fault=topic_fault)
    discovery_prefix: str = setting(
        "homeassistant", "Home Assistant's discovery prefix; empty turns discovery off.", fault=prefix_fault
    )
    faces: bool = setting(False, "Publish per-face readings on /faces.")
    voice: bool = setting(False, "Publish voice readings on /voice.")
    heartbeat_s: float = setting(30.0, "Publish /state and /people at least this often.", low=1, high=3600)
    health_s: float = setting(30.0, "Publish /health this often, and whenever a part changes.", low=1, high=3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxConfig:
    """Events that the broker has not acknowledged yet, on disk."""

    path: str = setting(
        "",
        "SQLite file; the last privacy command is kept beside it. Empty: $STATE_DIRECTORY/outbox.db under systemd, "
        "else ~/.local/state/affectd/outbox.db.",
        path=bool,
    )
    max_events: int = setting(
        50_000, "Events kept; beyond this the oldest is dropped and counted.", low=10, high=10_000_000
    )
    max_mb: float = setting(
        64.0, "Megabytes kept; beyond this the oldest is dropped and counted.", low=0.1, high=10_000
    )
    replay_per_s: float = setting(
        500.0,
        "Events sent a second at most, in order: a new one waits for those before it. The pace begins at 50, rises "
        "while the broker acknowledges promptly and falls when it does not.",
        low=1,
        high=100_000,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyConfig:
    """The switch that closes camera and microphone."""

    start_on: bool = setting(
        False, "Closed before the first command; the last command is remembered and holds over restarts."
    )
    switch_file: str = setting(
        "",
        "File (such as a GPIO's value) read twice a second; '1' closes camera and microphone. Empty: none.",
        path=bool,
    )

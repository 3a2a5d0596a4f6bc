"""Options that several commands share, and the settings they lead to."""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path

from affectd.config import Config
from affectd.config_file import load


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Add --config."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML settings ('affectd config init' writes one)")


def add_broker_options(parser: argparse.ArgumentParser) -> None:
    """Add options that override the settings' [mqtt] table."""
    broker = parser.add_argument_group("broker", "These override [mqtt] of the settings.")
    broker.add_argument("--host", metavar="NAME")
    broker.add_argument("--port", type=int, metavar="N")
    broker.add_argument("--tls", action="store_true", default=None, help="encrypt, and check the certificate")
    broker.add_argument("--ca-file", metavar="FILE")
    broker.add_argument("--username", metavar="NAME")
    broker.add_argument("--password-file", metavar="FILE")
    broker.add_argument("--base-topic", metavar="TOPIC")


def load_config(args: argparse.Namespace) -> Config:
    """Load the settings that --config, the environment and the broker options name. Raises ConfigError."""
    environ = dict(os.environ)
    for name in ("host", "port", "tls", "ca_file", "username", "password_file", "base_topic"):
        value = getattr(args, name, None)
        if value is not None:
            environ[f"AFFECTD_MQTT_{name.upper()}"] = str(value)
    return load(args.config, environ)


def with_clip(config: Config, clip: Path) -> Config:
    """Let a clip's pictures and sound stand in for camera and microphone."""
    return dataclasses.replace(
        config,
        camera=dataclasses.replace(config.camera, source=str(clip.absolute())),
        microphone=dataclasses.replace(config.microphone, source="auto"),
    )

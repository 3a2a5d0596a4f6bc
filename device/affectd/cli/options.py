"""Options that several commands share, and the settings they lead to."""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path
from typing import Any

from affectd.config import Config
from affectd.config_file import load
from affectd.config_keys import ENVIRONMENT_PREFIX
from affectd.version import version


class ShowVersion(argparse.Action):
    """--version: print the program's name and version, and end; git is asked only then."""

    def __init__(self, **options: Any) -> None:
        """Take no argument."""
        super().__init__(**options, nargs=0, default=argparse.SUPPRESS, help="show the version and end")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print, and end with 0."""
        print(parser.prog, version())
        parser.exit()


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Add --config."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML settings ('affectd config init' writes one)")


def add_broker_options(parser: argparse.ArgumentParser) -> None:
    """Add options that override the settings' [mqtt] table."""
    broker = parser.add_argument_group("broker", "These override [mqtt] of the settings.")
    broker.add_argument("--host", metavar="NAME", dest="mqtt_host")
    broker.add_argument("--port", type=int, metavar="N", dest="mqtt_port")
    broker.add_argument(
        "--tls", action="store_const", const=True, dest="mqtt_tls", help="encrypt, and check the certificate"
    )
    broker.add_argument("--ca-file", metavar="FILE", dest="mqtt_ca_file")
    broker.add_argument("--username", metavar="NAME", dest="mqtt_username")
    broker.add_argument("--password-file", metavar="FILE", dest="mqtt_password_file")
    broker.add_argument("--base-topic", metavar="TOPIC", dest="mqtt_base_topic")


def load_config(args: argparse.Namespace) -> Config:
    """Load the settings that --config, the environment and the broker options name. Raises ConfigError."""
    given = {name: str(value) for name, value in vars(args).items() if name.startswith("mqtt_") and value is not None}
    options = {f"{ENVIRONMENT_PREFIX}{name.upper()}": value for name, value in given.items()}
    return load(args.config, os.environ, options)


def with_clip(config: Config, clip: Path) -> Config:
    """Let a clip's pictures and sound stand in for camera and microphone."""
    return dataclasses.replace(
        config,
        camera=dataclasses.replace(config.camera, source=str(clip.absolute())),
        microphone=dataclasses.replace(config.microphone, source="auto"),
    )

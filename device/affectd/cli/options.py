"""Options that several commands share, and the settings they lead to."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from affectd.config import Config, MqttConfig
from affectd.config.file import load
from affectd.config.keys import ENVIRONMENT_PREFIX
from affectd.errors import CaptureError, ConfigError
from affectd.service.installed import AS_SERVICE, OUTBOX, PASSWORD, SETTINGS, STATE, has_password, is_there
from affectd.share import CHECKOUT, shared_folder
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


def add_config_option(parser: argparse.ArgumentParser, *, default: bool = False) -> None:
    """Add --config; with `default` it is the installed service's file where there is one, and --no-config."""
    text = "TOML settings ('affectd config init' writes one)"
    if not default:
        parser.add_argument("--config", type=Path, metavar="FILE", help=text)
        return
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--config", type=Path, metavar="FILE", help=f"{text}; without it {SETTINGS}, where it is there")
    group.add_argument("--no-config", action="store_true", help="no settings file: the environment and the defaults")


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


def load_config(args: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Config:
    """Load the settings that --config, the environment and the broker options name. Raises ConfigError."""
    given = {name: str(value) for name, value in vars(args).items() if name.startswith("mqtt_") and value is not None}
    options = {f"{ENVIRONMENT_PREFIX}{name.upper()}": value for name, value in given.items()}
    return load(args.config, environ, options)


def load_service_config(args: argparse.Namespace) -> Config:
    """Load the settings as the service does, for a command that looks at what it is doing. Raises ConfigError.

    Without --config, the installed service's file is used and named on standard error. With that file, outbox and
    password are the service's too, unless it says otherwise.
    """
    if args.config is None and not args.no_config and is_there(SETTINGS):
        args.config = SETTINGS
        print(f"affectd: settings: {SETTINGS} (without them: --no-config)", file=sys.stderr)
    if args.config != SETTINGS:
        return load_config(args)
    try:
        SETTINGS.open("rb").close()
    except PermissionError as error:
        raise ConfigError(
            f"{SETTINGS}: cannot be read: {error.strerror}; {AS_SERVICE}, or name other settings with --config FILE, "
            "or none with --no-config"
        ) from None
    except OSError:
        pass  # reading it reports what is wrong
    config = load_config(args, {**os.environ, "HOME": str(STATE)})
    return _with_service_files(config, its_broker=getattr(args, "mqtt_host", None) is None)


def load_client_config(args: argparse.Namespace) -> MqttConfig:
    """Load [mqtt] as the service does, for a command that is a client of its broker. Raises ConfigError."""
    settings = load_service_config(args)
    if settings.mqtt.password_file and not settings.mqtt.username:
        settings = with_own_id(settings)
    return settings.mqtt


def with_own_id(settings: Config) -> Config:
    """Return the settings with this box's id in them, and the user name that goes with a password."""
    from affectd import assembly  # takes a while to load on a small board

    return assembly.identified(settings, assembly.identity(settings))


def _with_service_files(config: Config, *, its_broker: bool) -> Config:
    """Fill in where the service has its outbox and its password, which only systemd tells it.

    The password is for the service's broker, and not for one that the command line names.
    """
    outbox, mqtt = config.outbox, config.mqtt
    if not outbox.path and not os.environ.get("STATE_DIRECTORY"):
        outbox = dataclasses.replace(outbox, path=str(OUTBOX))
    given = mqtt.password_file or os.environ.get("CREDENTIALS_DIRECTORY")
    if its_broker and not given and has_password():
        mqtt = dataclasses.replace(mqtt, password_file=str(PASSWORD))
    return dataclasses.replace(config, outbox=outbox, mqtt=mqtt)


def with_clip(config: Config, clip: Path) -> Config:
    """Let a clip's pictures and sound stand in for camera and microphone."""
    return dataclasses.replace(
        config,
        camera=dataclasses.replace(config.camera, source=str(clip.absolute())),
        microphone=dataclasses.replace(config.microphone, source="auto"),
    )


def existing_clip(given: Path | None, *, option: str) -> Path:
    """Return the clip that `option` named, else the bundled one of the checkout or environment. Raises CaptureError."""
    if given is not None:
        if not given.exists():
            raise CaptureError(f"{given}: there is no such clip; name yours with {option} FILE")
        return given
    folders = (CHECKOUT / "scripts", shared_folder())
    for folder in folders:
        if (folder / "demo.mp4").exists():
            return folder / "demo.mp4"
    raise CaptureError(
        f"there is no bundled clip in {folders[-1]}: the service's installation brings none, and no decoder; name a "
        f"clip with {option} FILE, or use a checkout, where scripts/demo makes .venv with both"
    )

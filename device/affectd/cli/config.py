"""Write a commented settings file, or check one."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from affectd.config_file import load, warnings, write_default
from affectd.errors import ConfigError

HELP = "write a commented settings file, or check one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `affectd config`."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    init = actions.add_parser("init", help="write every setting with its doc and default")
    init.add_argument("file", type=Path, nargs="?", metavar="FILE", help="without it: standard output")
    init.add_argument("--force", action="store_true", help="overwrite FILE")
    init.set_defaults(action=_init)
    check = actions.add_parser("check", help="say whether a settings file is right, and if not, where")
    check.add_argument("file", type=Path, metavar="FILE")
    check.set_defaults(action=_check)


def run(args: argparse.Namespace) -> int:
    """Do the action asked for."""
    code: int = args.action(args)
    return code


def _init(args: argparse.Namespace) -> int:
    if args.file is None:
        write_default(sys.stdout)
        return 0
    try:
        with args.file.open("w" if args.force else "x", encoding="utf-8") as stream:
            write_default(stream)
    except FileExistsError:
        raise ConfigError(f"{args.file}: exists already; --force overwrites it") from None
    except OSError as error:
        raise ConfigError(f"{args.file}: cannot be written: {error.strerror}") from None
    print(f"{args.file}: written; every setting in it has its default")
    return 0


def _check(args: argparse.Namespace) -> int:
    from affectd.capture.sources import refuse_unknown

    config = load(args.file, os.environ)
    refuse_unknown(config.camera.source)
    for sentence in warnings(config):
        print(f"affectd: warning: {sentence}", file=sys.stderr)
    print(f"{args.file}: in order")
    return 0

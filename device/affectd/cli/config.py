"""Write a commented settings file, or check one."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from affectd.capture.source_settings import is_clip
from affectd.config import Config
from affectd.config.file import load, warnings, write_default
from affectd.config.keys import keys_of, shown
from affectd.config.paths import default_outbox, is_file, is_folder
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
        what = "is a folder; name a file in it" if args.file.is_dir() else "exists already; --force overwrites it"
        raise ConfigError(f"{args.file}: {what}") from None
    except OSError as error:
        raise ConfigError(f"{args.file}: cannot be written: {error.strerror}") from None
    print(f"{args.file}: written; every setting in it has its default")
    return 0


def _check(args: argparse.Namespace) -> int:
    config = load(args.file, os.environ)
    outbox = Path(config.outbox.path) if config.outbox.path else default_outbox(os.environ)
    for sentence in [*warnings(config), *_absent(config), *_unwritable(outbox)]:
        print(f"affectd: warning: {sentence}", file=sys.stderr)
    print(f"{args.file}: in order")
    return 0


def _absent(config: Config) -> Iterator[str]:
    """Return a sentence on each thing that the settings name and this user does not see: it may come later."""
    camera = config.camera.source
    without = "affectd run ends with exit code 5" if is_clip(camera) else "affectd run waits for it"
    for table, key, path, then in (
        ("camera", "source", f"/dev/video{camera}" if camera.isdecimal() else camera, without),
        ("inference", "models", config.inference.models, "affectd run ends with exit code 4"),
        ("inference", "delegate", config.inference.delegate, "the CPU does its work"),
        ("privacy", "switch_file", config.privacy.switch_file, "privacy stays on"),
    ):
        if path.startswith("/") and not (is_file(path) or is_folder(path)):
            what = f"{table}.{key} = {shown(keys_of(table)[key], path)}"
            yield f"{what} is nothing that this user can see; until it is, {then}."


def _unwritable(outbox: Path) -> Iterator[str]:
    """Report in one sentence that this user cannot make or write the outbox: the service may be another's."""
    there = next(each for each in (outbox, *outbox.parents) if is_file(str(each)) or is_folder(str(each)))
    if not os.access(there, os.W_OK):
        yield f"outbox.path: this user cannot write {outbox}; if affectd run cannot either, it ends with exit code 7."

"""affectd-convert: from a data folder to a finished bundle, each step on its own or all in a row."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from affectd.cli.options import ShowVersion
from affectd.errors import AffectdError
from affectd_convert.commands import all_steps, bundle, datasets, evaluate, quantize, train, verify
from affectd_convert.errors import DISK_EXIT_CODE, INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; return the exit code."""
    # Before Keras is imported; BLAS threads only slow small products down.
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    options = parser().parse_args(arguments)
    options.typed = _typed(sys.argv[1:] if arguments is None else arguments)
    try:
        return int(options.command(options))
    except AffectdError as error:
        print(f"affectd-convert: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        print(
            f"affectd-convert: {where}{error.strerror or error}; make room on that disk or give rights to that file, "
            "and the same command goes on",
            file=sys.stderr,
        )
        return DISK_EXIT_CODE
    except KeyboardInterrupt:
        print(
            "affectd-convert: stopped; the same command goes on, a training from its last checkpoint", file=sys.stderr
        )
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser, every step in it."""
    program = argparse.ArgumentParser(prog="affectd-convert", description=__doc__)
    program.add_argument("--version", action=ShowVersion)
    steps = program.add_subparsers(required=True, metavar="STEP")
    for step in (datasets, train, quantize, bundle, verify, evaluate, all_steps):
        step.add(steps)
    return program


def _typed(arguments: Sequence[str]) -> str:
    """Return the command line for the record, which others read: without the name of the user's home."""
    return shlex.join(["affectd-convert", *arguments]).replace(f"{Path.home()}/", "~/")


if __name__ == "__main__":
    sys.exit(main())

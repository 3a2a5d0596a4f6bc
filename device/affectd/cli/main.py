"""The command line: `affectd COMMAND`, with the commands below."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from affectd.cli import cameras, config, demo, fetch, forget, listen, microphones, read, run, schemas
from affectd.cli.bench import command as bench
from affectd.cli.check import command as check
from affectd.cli.exit_monitor import INTERRUPTED
from affectd.cli.fleet import command as fleet
from affectd.cli.options import ShowVersion
from affectd.cli.preview import command as preview
from affectd.cli.terminal import prepare_streams
from affectd.errors import AffectdError

COMMANDS = {
    "run": run,
    "demo": demo,
    "check": check,
    "cameras": cameras,
    "microphones": microphones,
    "read": read,
    "listen": listen,
    "fleet": fleet,
    "forget": forget,
    "schemas": schemas,
    "bench": bench,
    "preview": preview,
    "fetch": fetch,
    "config": config,
}
"""Their modules import the heavy rooms only when the command runs."""

EXIT_CODES = """\
exit codes:
  0    success
  1    a fault of affectd itself
  2    wrong command line; forget: the box is online, or nobody said yes
  3    the configuration cannot be read or is wrong
  4    a model, its checksum or a runtime does not fit
  5    a camera, microphone, clip or file is not there or cannot be read
  6    the MQTT broker cannot be reached or refuses
  7    the store of events cannot be opened or written, or another affectd has it open
  130  interrupted by Ctrl-C
"""
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
"""What a full disk or a terminal that is gone answers to a line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    # Threads of BLAS make the small products of the voice features ten times slower; read when numpy loads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    prepare_streams()
    args = _parser().parse_args(arguments)
    try:
        code: int = args.command(args)
        sys.stdout.flush()
    except AffectdError as error:
        _print_error(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has left, as `head` does.
        _give_up_stdout()
        return 0
    except OSError as error:
        if error.filename is not None or error.errno not in _UNWRITABLE:
            raise
        _give_up_stdout()
        _print_error(f"standard output cannot be written: {error.strerror}")
        return AffectdError.exit_code
    return code


def _print_error(sentence: str) -> None:
    with suppress(OSError):  # the reader of standard error may have left too
        print(f"affectd: {sentence}", file=sys.stderr)


def _give_up_stdout() -> None:
    """Let what waits for standard output go nowhere: Python would complain of it again when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="affectd",
        description="A camera and a microphone in, calibrated emotion events over MQTT out, all on this box.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=ShowVersion)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(command=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())

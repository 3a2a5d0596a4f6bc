"""Run the daemon until a signal stops it, or a clip ends."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from affectd.cli.options import add_config_option, load_config, with_clip
from affectd.config.file import warnings
from affectd.errors import AffectdError
from affectd.inference.accelerators import in_use

if TYPE_CHECKING:
    from affectd.config import Config
    from affectd.service.privacy_sources import PrivacySources

HELP = "run the daemon"
ENDING = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `affectd run`."""
    add_config_option(parser)
    parser.add_argument("--clip", type=Path, metavar="FILE", help="play a recorded clip as camera and microphone")
    parser.add_argument("--log-level", choices=("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO")


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM, SIGINT or the clip's end."""
    try:
        return _run(args)
    except Exception as fault:
        if not _is_want_of_memory(fault):
            raise
        log.debug("it was", exc_info=fault)
        raise AffectdError(
            f"not enough memory ({' '.join(str(fault).split()) or type(fault).__name__}); end other programs, or raise "
            "the limit, such as MemoryMax= or TasksMax= in the unit"
        ) from None


def _run(args: argparse.Namespace) -> int:
    stop, started = threading.Event(), threading.Event()
    _heed_signals(stop, started)
    from affectd.daemon import Daemon
    from affectd.service.log import set_up_logging

    set_up_logging(args.log_level)
    config = load_config(args)
    if args.clip is not None:
        config = with_clip(config, args.clip)
    for sentence in warnings(config):
        log.warning("%s", sentence)
    daemon = Daemon(config, privacy=_privacy(args, config))
    started.set()
    daemon.run(stop)
    return 0


def _privacy(args: argparse.Namespace, config: Config) -> PrivacySources:
    """Return what holds privacy on: the installed service's too, unless this is that service, or opens no device."""
    from affectd import assembly
    from affectd.service import installed

    is_service = os.environ.get("STATE_DIRECTORY", "").partition(":")[0] == str(installed.STATE)
    if is_service or args.clip is not None:
        return assembly.own_privacy(config)
    return assembly.privacy_sources(config)


def _is_want_of_memory(fault: Exception) -> bool:
    """Whether the system ran out of memory, or refused a thread, which needs a stack."""
    if isinstance(fault, AffectdError):
        return False
    if isinstance(fault, ImportError):
        return any(sign in str(fault) for sign in ("cannot map", "failed to map", "annot allocate"))
    if isinstance(fault, OSError):
        return fault.errno in {errno.ENOMEM, errno.EAGAIN}
    if isinstance(fault, SystemError):  # C code that got no memory, not even for an exception
        return "without exception set" in str(fault) or "without setting an exception" in str(fault)
    return isinstance(fault, MemoryError) or "can't start new thread" in str(fault)


def _heed_signals(stop: threading.Event, started: threading.Event) -> None:
    """Let SIGTERM and SIGINT set `stop`, and end the process at once while it has not started yet.

    A thread waits for them: a handler would run in the main thread, perhaps while that waits for `stop` and holds
    its lock, and not at all while a model is read. Further signals change nothing: it is ending already.
    """
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)  # a shell may have had them ignored
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)

    def wait() -> None:
        signal.sigwait(ENDING)
        if not started.is_set():
            in_use.clear_all()
            os._exit(0)  # nothing has begun that would have to be ended
        stop.set()

    threading.Thread(target=wait, name="signals", daemon=True).start()

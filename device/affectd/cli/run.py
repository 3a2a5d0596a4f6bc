"""Run the daemon until it is told to stop, or a clip ends."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from pathlib import Path

from affectd.cli.options import add_config_option, load_config, with_clip
from affectd.config_file import warnings

HELP = "run the daemon"

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `affectd run`."""
    add_config_option(parser)
    parser.add_argument("--clip", type=Path, metavar="FILE", help="play a recorded clip as camera and microphone")
    parser.add_argument("--log-level", choices=("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO")


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM, SIGINT or the clip's end."""
    from affectd.daemon import Daemon
    from affectd.service.log import set_up_logging

    set_up_logging(args.log_level)
    config = load_config(args)
    if args.clip is not None:
        config = with_clip(config, args.clip)
    for sentence in warnings(config):
        log.warning("%s", sentence)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Daemon(config).run(stop)
    return 0

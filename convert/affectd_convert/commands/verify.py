"""affectd-convert verify: bundles' golden samples on every TFLite runtime installed."""

from __future__ import annotations

import argparse
from pathlib import Path

from affectd.errors import ModelError
from affectd_convert.commands import Steps

MISSED = 9
"""Exit code: a parity bar is missed."""


def add(steps: Steps) -> None:
    """Add the subcommand's parser."""
    parser = steps.add_parser("verify", help="run bundles' golden samples on every TFLite runtime installed")
    parser.add_argument("bundles", type=Path, nargs="+", metavar="BUNDLE", help="folders such as models/*")
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    from affectd_convert.conversion import parity

    # Of models/* some are plain files.
    folders = [path for path in options.bundles if not path.is_file()]
    if not folders:
        raise ModelError(f"{', '.join(map(str, options.bundles))}: no bundle; name folders such as models/face-vgg16")
    rows = parity.verify_bundles(folders)
    parity.print_table(rows)
    return 0 if parity.passed(rows) else MISSED

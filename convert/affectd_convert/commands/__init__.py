"""The subcommands of affectd-convert, a file each: `add` adds its parser, `_run` gives its exit code."""

from __future__ import annotations

import argparse
from typing import TypeAlias

Steps: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What `add` adds its parser to."""


def add_bounds(parser: argparse.ArgumentParser) -> None:
    """Add the options that bound a conversion's memory and time."""
    parser.add_argument("--memory-gb", type=float, default=8.0, help="a conversion that holds more is stopped; 8")
    parser.add_argument(
        "--timeout", type=float, default=1200.0, metavar="S", help="seconds a conversion may take; 1200"
    )

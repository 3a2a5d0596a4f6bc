"""Try every part that the settings name: what works, what does not, and what to do about it."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from affectd.cli.options import add_config_option, load_service_config
from affectd.cli.terminal import quiet_libraries

if TYPE_CHECKING:
    from affectd.cli.check.finding import Finding

HELP = "try camera, microphone, models, broker and the rest"
MARKS = {"ok": ("ok", "32"), "warning": ("warning", "33"), "failed": ("FAILED", "31"), "off": ("off", "90")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `affectd check`."""
    add_config_option(parser, default=True)
    parser.add_argument("--json", action="store_true", help="findings as JSON")


def run(args: argparse.Namespace) -> int:
    """Probe each part; return the exit code of the first that failed."""
    from affectd.cli.check.probes import probe_all
    from affectd.service.log import set_up_logging

    set_up_logging("ERROR")
    config = load_service_config(args)
    if not args.json and sys.stdout.isatty():
        print("look into the camera, and say something: both are tried for a few seconds", flush=True)
    findings = []
    with quiet_libraries():
        for finding in probe_all(config):
            findings.append(finding)
            if not args.json:
                _print_row(finding)
    if args.json:
        print(json.dumps([finding.to_json() for finding in findings], indent=2))
    return next((finding.exit_code for finding in findings if finding.state == "failed"), 0)


def _print_row(finding: Finding) -> None:
    mark, colour = MARKS[finding.state]
    padded = f"{mark:<8}"
    shown = f"\033[{colour}m{padded}\033[0m" if sys.stdout.isatty() else padded
    print(f"{shown} {finding.part:<12} {finding.found}", flush=True)
    if finding.advice:
        print(f"{'':21} -> {finding.advice}", flush=True)

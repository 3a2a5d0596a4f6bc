"""Measure."""

import argparse

HELP = "measure latency stage by stage"


def add_arguments(parser: argparse.ArgumentParser) -> None: ...
def run(args: argparse.Namespace) -> int:
    return 0

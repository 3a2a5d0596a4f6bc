"""Fetch what affectd can use and does not bring: the file of the face detector BlazeFace, by pip."""

from __future__ import annotations

import argparse

HELP = "fetch the face detector BlazeFace (0.2 MB out of a wheel of 36 MB)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `affectd fetch`."""
    parser.add_argument("what", choices=("blazeface",), help="Google's BlazeFace, under the Apache License 2.0")


def run(args: argparse.Namespace) -> int:  # noqa: ARG001
    """Fetch it, unless it is there already. Raises ModelError."""
    from affectd.face.blazeface_fetch import fetch
    from affectd.face.blazeface_file import FILE, fault_of, folder

    target = folder()
    there = not fault_of(target / FILE)
    if not there:
        fetch(target)
    print(f'{target / FILE}: {"is there already" if there else "fetched"}; face.detector = "blazeface" uses it')
    return 0

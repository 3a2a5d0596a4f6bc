"""Read faces in photographs and voices in sound files; no camera or microphone is opened, no broker called."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path

from affectd.cli.options import add_config_option, load_service_config
from affectd.cli.terminal import plain
from affectd.errors import CaptureError

HELP = "what photographs and sound files show"
WRONG_COMMAND_LINE = 2
MOST_PIXELS = 1 << 27
"""134 megapixels, 400 MB of memory as they are read."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `affectd read`."""
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="photograph, WAV, or, with PyAV, other sound or a video"
    )
    parser.add_argument("--json", action="store_true", help="a JSON line a file: file, faces, voice, error")
    parser.add_argument("--detector", choices=("haar", "blazeface"), help="find faces by it, instead of face.detector")
    parser.add_argument(
        "--annotate", type=_png, metavar="OUT.png", help="draw the faces of the photograph, a single FILE, into OUT.png"
    )
    add_config_option(parser, default=True)


def run(args: argparse.Namespace) -> int:
    """Read file after file; those that cannot be read are named, and the rest is read."""
    if args.annotate is not None and (wrong := _no_drawing(args.files, args.annotate)):
        print(f"affectd: {wrong}", file=sys.stderr)
        return WRONG_COMMAND_LINE
    # Read by OpenCV when it is loaded: a picture of more pixels is refused, not decoded.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))
    from affectd.cli.annotation import write_annotated
    from affectd.cli.file_reading import FileReader, rows, to_json

    config = load_service_config(args)
    if args.detector is not None:
        config = dataclasses.replace(config, face=dataclasses.replace(config.face, detector=args.detector))
    reader = FileReader(config)
    width = max(len(plain(str(path))) for path in args.files)
    code = 0
    for path in args.files:
        reading = reader.read(path)
        if reading.error is not None:
            code = CaptureError.exit_code
        if args.json:
            print(json.dumps(to_json(reading), allow_nan=False), flush=True)
        elif reading.error is not None:
            print(f"affectd: {plain(reading.error)}", file=sys.stderr)
        for row in [] if args.json else rows(reading, width):
            print(row, flush=True)
        if args.annotate is not None and reading.picture is not None:
            write_annotated(args.annotate, reading.picture, reading.faces)
        elif args.annotate is not None and reading.error is None:
            print(f"affectd: {plain(str(path))}: holds no picture; {args.annotate} was not written", file=sys.stderr)
            code = WRONG_COMMAND_LINE
    return code


def _png(text: str) -> Path:
    """Return the file to draw into. Raises ArgumentTypeError."""
    path = Path(text)
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text!r} must end in .png")
    return path


def _no_drawing(files: list[Path], out: Path) -> str:
    """Return why `files` cannot be drawn into `out`; empty when they can."""
    if len(files) > 1:
        return f"--annotate draws one photograph, and {len(files)} files are named; call it once for each"
    try:
        same = out.exists() and files[0].exists() and out.samefile(files[0])
    except OSError:
        same = False
    return f"--annotate {out}: is the photograph itself; name another file" if same else ""

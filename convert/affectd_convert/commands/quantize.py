"""affectd-convert quantize: a finished run to its TFLite variants, each held against its float parent."""

from __future__ import annotations

import argparse
from pathlib import Path

from affectd.inference.manifest import KINDS
from affectd_convert.commands import Steps, add_bounds


def add(steps: Steps) -> None:
    """Add the subcommand's parser."""
    parser = steps.add_parser("quantize", help="convert a finished run to TFLite and compare with the float parent")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run, as given to train")
    parser.add_argument("--data", type=Path, required=True, help="the data that the run was trained on")
    parser.add_argument(
        "--kinds", nargs="+", choices=KINDS, default=KINDS, metavar="KIND", help=f"of {', '.join(KINDS)}"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the .tflite files go; the run's tflite/")
    add_bounds(parser)
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    from affectd_convert.conversion import parity
    from affectd_convert.conversion.bounded_process import Bounds
    from affectd_convert.conversion.float_model import parent_logits, parent_of
    from affectd_convert.conversion.quantize import quantize
    from affectd_convert.evaluation.run_data import read_run_data

    model = parent_of(options.run)
    data = read_run_data(options.run, options.data)
    variants = quantize(
        model,
        data.representative,
        options.out or options.run / "tflite",
        options.kinds,
        bounds=Bounds(options.memory_gb, options.timeout),
    )
    held_out = data.held_out
    print(f"comparing with {model} on {held_out.name}, {len(held_out.truth)} inputs ...", flush=True)
    parent = parent_logits(model, held_out.inputs)
    rows = parity.verify_variants(options.run.name, variants, held_out.inputs, parent, held_out.truth)
    for kind, path in variants.items():
        print(f"{kind:<9}{path.stat().st_size:>12,} bytes  {path}")
    parity.print_table(rows)
    return 0 if parity.passed(rows) else 9

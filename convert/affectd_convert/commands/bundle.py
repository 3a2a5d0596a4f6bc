"""affectd-convert bundle: a finished run, or a model of one's own, to a proven bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from affectd.inference.manifest import KINDS
from affectd_convert.commands import Steps, add_bounds


def add(steps: Steps) -> None:
    """Add the subcommand's parser."""
    parser = steps.add_parser(
        "bundle", help="quantize a finished run or a model of your own, prove it, write the bundle"
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", type=Path, help="folder of the run, as given to train; with --data and --version")
    source.add_argument("--from", type=Path, dest="toml", metavar="TOML", help="what your own model is: see README")
    parser.add_argument("--data", type=Path, help="the data that the run was trained on")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle, such as models/face-vgg16")
    parser.add_argument("--version", help="version of the model, such as 0.1.0")
    parser.add_argument("--maturity", default="released", help="one line on what to expect of the run's weights")
    parser.add_argument(
        "--folds", type=Path, nargs="+", default=[], metavar="RUN", help="voice: runs that held a fold of actors out"
    )
    parser.add_argument(
        "--leaking", type=Path, metavar="RUN", help="voice: a run of --fold leaking, to stand beside them in the card"
    )
    parser.add_argument("--kinds", nargs="+", choices=KINDS, metavar="KIND", help="variants; int8 float16")
    parser.add_argument(
        "--even-so",
        action="store_true",
        help="write it although it is no better than always the same label, or never gives one; its maturity says so",
    )
    add_bounds(parser)
    parser.set_defaults(command=_run, refuse=parser.error)


def _run(options: argparse.Namespace) -> int:
    from affectd_convert.bundling import custom_model, reference_model
    from affectd_convert.conversion.bounded_process import Bounds

    kinds, bounds = options.kinds or reference_model.SHIPPED, Bounds(options.memory_gb, options.timeout)
    if options.toml is not None:
        bundle = custom_model.make_own_bundle(options.toml, options.out, kinds, even_so=options.even_so, bounds=bounds)
    elif options.data is None or options.version is None:
        options.refuse("--run needs --data and --version")
    else:
        bundle = reference_model.make_bundle(
            options.run,
            options.data,
            options.out,
            version=options.version,
            maturity=options.maturity,
            kinds=kinds,
            folds=options.folds,
            leaking=options.leaking,
            command=options.typed,
            even_so=options.even_so,
            bounds=bounds,
        )
    for m in bundle.metrics:
        figures = f"accuracy {m.accuracy:.4f}, macro F1 {m.macro_f1:.4f}, UAR {m.uar:.4f}, ECE {m.ece:.4f}"
        print(f"{m.variant:<8} {figures} on {m.split}, {m.samples} samples")
    print(f"{bundle.folder}: written; all its figures stand in {bundle.folder / 'CARD.md'}")
    return 0

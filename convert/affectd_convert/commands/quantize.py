"""affectd-convert quantize: a finished run to its TFLite variants, each held against its float parent."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from affectd.inference.manifest import KINDS
from affectd_convert.commands import Steps, add_bounds

if TYPE_CHECKING:
    from affectd_convert.evaluation.quantization import QuantizationReport


def add(steps: Steps) -> None:
    """Add the subcommand's parser."""
    parser = steps.add_parser("quantize", help="convert a finished run to TFLite and compare with the float parent")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", type=Path, help="folder of the run, as given to train")
    source.add_argument(
        "--bundle", type=Path, help="a finished bundle: nothing is converted, its report goes into its card"
    )
    parser.add_argument(
        "--data", type=Path, help="the data that the run was trained on; of a bundle for faces: labelled faces"
    )
    parser.add_argument("--split", help="of a bundle: which faces of the data, such as public")
    parser.add_argument(
        "--kinds", nargs="+", choices=KINDS, default=KINDS, metavar="KIND", help=f"of {', '.join(KINDS)}"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the .tflite files go; the run's tflite/")
    add_bounds(parser)
    parser.set_defaults(command=_run, refuse=parser.error)


def _run(options: argparse.Namespace) -> int:
    if options.bundle is not None:
        return _report_on_bundle(options)
    if options.data is None:
        options.refuse("--run needs --data")
    from affectd_convert.conversion import parity
    from affectd_convert.conversion.bounded_process import Bounds
    from affectd_convert.conversion.float_model import parent_logits, parent_of
    from affectd_convert.conversion.variants import Trial, make_variants
    from affectd_convert.evaluation.cost import measure_costs
    from affectd_convert.evaluation.quantization import report_on
    from affectd_convert.evaluation.run_data import read_run_data

    model, bounds = parent_of(options.run), Bounds(options.memory_gb, options.timeout)
    data = read_run_data(options.run, options.data)
    held_out, out = data.held_out, options.out or options.run / "tflite"
    trial = Trial(held_out.inputs, held_out.truth)
    made = make_variants(model, data.representative, out, options.kinds, trial, bounds=bounds)
    print(f"comparing with {model} on {held_out.name}, {len(held_out.truth)} inputs ...", flush=True)
    parent = parent_logits(model, held_out.inputs)
    rows = parity.verify_variants(options.run.name, made.paths, held_out.inputs, parent, held_out.truth)
    for kind, path in made.paths.items():
        print(f"{kind:<9}{path.stat().st_size:>12,} bytes  {path}")
    parity.print_table(rows)
    costs = {kind: measure_costs(path) for kind, path in made.paths.items()}
    against = f"Against {model} on {held_out.name}."
    reference = made.paths.get("float32", made.paths.get("float16"))
    report = report_on(rows, made.paths, costs, held_out.inputs, reference=reference, against=against)
    _print_report(report, out / "quantization.png")
    for remark in made.remarks:
        print(remark)
    missed = {row.kind for row in rows if row.shortfall}
    return 0 if len(missed) < len(made.paths) else 9


def _print_report(report: QuantizationReport, picture: Path) -> None:
    """Print what each variant costs and where int8 errs, and draw it."""
    from affectd_convert.evaluation.plots import plot_quantization
    from affectd_convert.evaluation.quantization import aligned, layer_table, quantization_table

    print(f"\n{report.against}\n{aligned(quantization_table(report.figures))}")
    if report.layers:
        print(f"\nWhat each layer of int8 adds to the error, largest first:\n{aligned(layer_table(report.layers))}")
    plot_quantization(report.figures, report.layers, picture)
    print(f"\n{picture}: drawn; boards are estimated from multiplications and published throughput (device/BOARDS.md)")


def _report_on_bundle(options: argparse.Namespace) -> int:
    """Report on a finished bundle, and put the report into its card."""
    from affectd.inference.bundle import Bundle
    from affectd_convert.bundling.card import with_quantization
    from affectd_convert.bundling.quantization import report_on_bundle

    bundle = Bundle.load(options.bundle)
    report = report_on_bundle(bundle, options.data, options.split)
    _print_report(report, bundle.folder / "training" / "quantization.png")
    card = bundle.folder / "CARD.md"
    card.write_text(with_quantization(card.read_text(encoding="utf-8"), report), encoding="utf-8")
    print(f"{card}: its section on quantization is written")
    return 0

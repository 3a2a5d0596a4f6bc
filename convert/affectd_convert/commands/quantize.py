"""affectd-convert quantize: a finished run to its TFLite variants, each held against its float parent."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from affectd.inference.manifest import KINDS
from affectd_convert.commands import Steps, add_bounds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from affectd_convert.conversion.parity import Row


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
    from affectd_convert.conversion.variants import Trial, make_variants
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
    _report(rows, made.paths, held_out.inputs, out)
    for remark in made.remarks:
        print(remark)
    missed = {row.kind for row in rows if row.shortfall}
    return 0 if len(missed) < len(made.paths) else 9


def _report(rows: Sequence[Row], paths: Mapping[str, Path], inputs: NDArray[np.float32], out: Path) -> None:
    """Print what each variant costs and where int8 errs, and draw it beside the variants."""
    from affectd_convert.conversion.layer_errors import layer_errors
    from affectd_convert.evaluation.cost import measure_costs
    from affectd_convert.evaluation.plots import plot_quantization
    from affectd_convert.evaluation.quantization import aligned, layer_table, quantization_table, variant_figures

    figures = variant_figures(rows, paths, {kind: measure_costs(path) for kind, path in paths.items()})
    reference = paths.get("float32", paths.get("float16"))
    layers = layer_errors(reference, paths["int8"], inputs) if reference is not None and "int8" in paths else ()
    print(f"\n{aligned(quantization_table(figures))}")
    if layers:
        print(f"\nWhat each layer of int8 adds to the error, largest first:\n{aligned(layer_table(layers))}")
    picture = out / "quantization.png"
    plot_quantization(figures, layers, picture)
    print(f"\n{picture}: drawn; boards are estimated: four threads, published throughput, see device/BOARDS.md")

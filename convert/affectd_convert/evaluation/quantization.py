"""What quantization costs and brings: accuracy with its interval, bytes, time here and on boards, error by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectd_convert.conversion.layer_errors import LayerError, layer_errors, short_name
from affectd_convert.conversion.parity import Row
from affectd_convert.evaluation.cost import Cost

NORMAL_95 = 1.959964
BOARDS = {"Pi 5": 84.7e9, "Pi 4": 17.6e9, "Zero 2 W": 8.2e9}
"""Multiply-accumulates a second in int8 on four threads, as device/BOARDS.md computes them from published times."""
SHOWN_LAYERS = 10


@dataclass(frozen=True, slots=True)
class VariantFigures:
    """One variant on held-out samples; of two runtimes' answers the worse."""

    kind: str
    bytes: int
    samples: int
    accuracy: float | None
    """None without labels; intervals and loss then mean nothing."""
    accuracy_interval: tuple[float, float]
    """95 %, Wilson's score interval."""
    loss: float
    """Of accuracy against the float parent on the same samples; below 0 where it is better."""
    loss_interval: tuple[float, float]
    """95 %, of the paired difference."""
    agreement: float
    milliseconds: Mapping[str, float]
    """By runtime, on this machine."""
    boards: Mapping[str, float]
    """Estimated milliseconds by board; of int8 only."""


@dataclass(frozen=True, slots=True)
class QuantizationReport:
    """What quantization costs a bundle, and where."""

    figures: tuple[VariantFigures, ...]
    layers: tuple[LayerError, ...]
    """Of int8, by what they add to the error; empty without int8, or without a float variant beside it."""
    against: str
    """What the variants are compared with, and on what."""


def report_on(
    rows: Sequence[Row],
    paths: Mapping[str, Path],
    costs: Mapping[str, Sequence[Cost]],
    inputs: NDArray[np.float32],
    *,
    reference: Path | None,
    against: str,
) -> QuantizationReport:
    """Return the report on variants (kind to `.tflite`) with their rows and costs.

    int8's layers are traced on `inputs` beside those of `reference`, a float variant, if there is one.
    """
    int8 = paths.get("int8")
    layers = () if reference is None or int8 is None else layer_errors(reference, int8, inputs)
    return QuantizationReport(variant_figures(rows, paths, costs), layers, against)


def variant_figures(
    rows: Sequence[Row], paths: Mapping[str, Path], costs: Mapping[str, Sequence[Cost]]
) -> tuple[VariantFigures, ...]:
    """Return each variant's figures from its rows, its file and its measured costs."""
    figures = []
    for kind, path in paths.items():
        own = [row for row in rows if row.kind == kind]
        worst = min(own, key=lambda row: row.accuracy or 0.0)
        samples, accuracy = worst.parity.samples, worst.accuracy
        macs = costs[kind][0].macs
        figures.append(
            VariantFigures(
                kind=kind,
                bytes=path.stat().st_size,
                samples=samples,
                accuracy=accuracy,
                accuracy_interval=wilson_interval(round((accuracy or 0.0) * samples), samples),
                loss=(worst.lost - worst.won) / samples,
                loss_interval=paired_interval(worst.lost, worst.won, samples),
                agreement=min(row.parity.agreement for row in own),
                milliseconds={cost.runtime: cost.milliseconds for cost in costs[kind]},
                boards={name: 1e3 * macs / rate for name, rate in BOARDS.items()} if kind == "int8" and macs else {},
            )
        )
    return tuple(figures)


def wilson_interval(hits: int, samples: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927, Journal of the American Statistical Association 22:209)."""
    share, z = hits / samples, NORMAL_95
    centre = (share + z * z / (2 * samples)) / (1 + z * z / samples)
    half = z * sqrt(share * (1 - share) / samples + z * z / (4 * samples**2)) / (1 + z * z / samples)
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_interval(lost: int, won: int, samples: int) -> tuple[float, float]:
    """Return the 95 % interval of (lost - won) / samples, both counted on the same samples.

    Wald's interval after half a sample is added to each of the four cells (Agresti & Min 2005, Statistics in Medicine
    24:729), which also holds where hardly any answer differs.
    """
    count, b, c = samples + 2, lost + 0.5, won + 0.5
    centre, half = (b - c) / count, NORMAL_95 * sqrt((b + c) - (b - c) ** 2 / count) / count
    return centre - half, centre + half


def quantization_table(figures: Sequence[VariantFigures]) -> list[list[str]]:
    """Return the table's rows, the headings first."""
    runtimes = list(dict.fromkeys(runtime for each in figures for runtime in each.milliseconds))
    head = ["variant", "bytes", "accuracy (95 %)", "loss, points (95 %)", "agreement", *(f"ms, {r}" for r in runtimes)]
    return [
        [*head, *(f"ms, {board} (estimated, at least)" for board in BOARDS)],
        *(
            [
                each.kind,
                f"{each.bytes:,}",
                *_accuracy(each),
                f"{each.agreement:.2%}",
                *(f"{each.milliseconds[r]:.2f}" if r in each.milliseconds else "-" for r in runtimes),
                *(f"{each.boards[board]:.1f}" if board in each.boards else "-" for board in BOARDS),
            ]
            for each in figures
        ),
    ]


def _accuracy(each: VariantFigures) -> tuple[str, str]:
    if each.accuracy is None:
        return "-", "-"
    (low, high), (best, worst) = each.accuracy_interval, each.loss_interval
    return (
        f"{each.accuracy:.2%} ({low:.2%} to {high:.2%})",
        f"{100 * each.loss:+.2f} ({100 * best:+.2f} to {100 * worst:+.2f})",
    )


def layer_table(layers: Sequence[LayerError]) -> list[list[str]]:
    """Return the rows of the layers that add most error, the headings first."""
    return [
        ["layer", "operation", "adds", "error there"],
        *(
            [short_name(layer.name), layer.operation, f"{layer.added:.2%}", f"{layer.error:.2%}"]
            for layer in layers[:SHOWN_LAYERS]
        ),
    ]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as text in columns, numbers and all to the left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)

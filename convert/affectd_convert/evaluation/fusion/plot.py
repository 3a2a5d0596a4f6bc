"""The picture of what fusion scores, as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from affectd_convert.evaluation.fusion.table import Row, WeighedRow
from affectd_convert.evaluation.plots import new_figure


def plot_fusion(rows: Sequence[Row], weights: Sequence[WeighedRow], path: Path) -> None:
    """Draw the weighted average over the voice's weight beside the adaptive pool, and every case, to a PNG."""
    figure, (curves, bars) = new_figure(width=11.0, columns=2)
    accuracy = {(row.case, row.strategy): row.accuracy for row in rows}
    for number, case in enumerate(dict.fromkeys(row.case for row in weights)):
        own = [row for row in weights if row.case == case]
        colour = f"C{number}"
        points = [row.voice_weight for row in own], [row.accuracy for row in own]
        curves.plot(*points, marker="o", color=colour, label=f"{case}: weighted average")
        curves.axhline(accuracy[case, "adaptive"], color=colour, linestyle="--", label=f"{case}: adaptive")
    curves.set(xlabel="weight of the voice", ylabel="accuracy", xlim=(0, 1))
    curves.legend(fontsize=7)
    cases = list(dict.fromkeys(row.case for row in rows))[::-1]
    shown = {"face": "C7", "voice": "C8", "adaptive": "C2"}
    for offset, (strategy, colour) in zip((0.27, 0.0, -0.27), shown.items(), strict=True):
        places = [number + offset for number in range(len(cases))]
        bars.barh(places, [accuracy[case, strategy] for case in cases], 0.25, color=colour, label=strategy)
    bars.set_yticks(range(len(cases)), cases, fontsize=8)
    bars.set(xlabel="accuracy", xlim=(0, 1))
    bars.legend(fontsize=7, loc="lower right")
    figure.savefig(path, format="png")

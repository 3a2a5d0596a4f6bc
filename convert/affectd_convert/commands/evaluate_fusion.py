"""affectd-convert evaluate --fusion: the device's strategies on pairs of a held-out face and a voice never heard."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from affectd.config import Config, FusionConfig
from affectd_convert.commands.left_out import print_left_out
from affectd_convert.errors import DataError

if TYPE_CHECKING:
    from affectd_convert.evaluation.fusion.table import Row, WeighedRow
    from affectd_convert.evaluation.fusion.weights import WeightsRow

NEEDED = ("face", "voice", "faces", "speech")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `--fusion` takes."""
    group = parser.add_argument_group("fusion", "with --fusion, in place of --model and --data")
    group.add_argument(
        "--fusion",
        action="store_true",
        help="score every strategy on pairs of a face and a voice of one label: clear, missing, poor, wrong",
    )
    group.add_argument("--face", type=Path, metavar="BUNDLE", help="a face bundle")
    group.add_argument("--voice", type=Path, metavar="BUNDLE", help="a voice bundle with folds: the actors are unheard")
    group.add_argument("--faces", type=Path, metavar="DATA", help="faces as --data has them; --split public where none")
    group.add_argument("--speech", type=Path, metavar="DIR", help="folder of corpora with RAVDESS")
    group.add_argument("--a-voice", type=int, default=2, metavar="N", help="faces for each voice; default 2")


def run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    """Read, pair and score; print tables or JSON."""
    from affectd.assembly import make_fuser
    from affectd.events import Strategy
    from affectd.fusion.fuser import Fuser
    from affectd_convert.evaluation.fusion.readings import read_faces, read_voices
    from affectd_convert.evaluation.fusion.table import Pairs, table, weighed
    from affectd_convert.evaluation.fusion.weights import learned

    if missing := [f"--{name}" for name in NEEDED if getattr(options, name) is None]:
        parser.error(f"--fusion needs {', '.join(missing)}")
    if options.a_voice < 1:
        parser.error("--a-voice must be 1 or more")

    def report(sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

    kind, runtime = options.variant, options.runtime
    faces = read_faces(options.face, kind, options.faces, split=options.split, runtime=runtime, report=report)
    voices = read_voices(options.voice, kind, options.speech, runtime=runtime, report=report)
    print_left_out((*faces.skipped, *voices.skipped), sys.stderr)
    pairs = Pairs.drawn(faces, voices, options.a_voice)

    def make(strategy: Strategy, face_weight: float) -> Fuser:
        settings = dataclasses.replace(FusionConfig(), strategy=strategy, face_weight=face_weight)
        return make_fuser(Config(fusion=settings), faces.model, voices.model)

    rows = table(faces, voices, pairs, make, FusionConfig().face_weight)
    weights = weighed(faces, voices, pairs, make)
    fitted = learned(faces, voices, pairs)
    if options.plots is not None:
        _plot(options.plots, rows, weights)
    if options.json:
        document = {"pairs": len(pairs.face), "cases": rows, "weighted_average": weights, "learned": fitted}
        print(json.dumps(document, default=lambda row: row.to_json()))
    else:
        print(
            f"{faces.model.description} and {voices.model.description}: {len(pairs.face)} pairs of one label, "
            f"{len(set(pairs.face.tolist()))} faces, {len(voices.truth)} voices by models that never heard the speaker"
        )
        _print(rows, weights, fitted)
    return 0


def _plot(folder: Path, rows: Sequence[Row], weights: Sequence[WeighedRow]) -> None:
    from affectd_convert.evaluation.fusion.plot import plot_fusion

    try:
        folder.mkdir(parents=True, exist_ok=True)
        plot_fusion(rows, weights, folder / "fusion.png")
    except OSError as error:
        raise DataError(f"{folder}: the plot cannot be written: {error}") from error


def _print(rows: Sequence[Row], weights: Sequence[WeighedRow], fitted: Sequence[WeightsRow]) -> None:
    print(f"\n{'case':<34}{'strategy':<18}{'accuracy':>9}{'UAR':>8}{'ECE':>8}{'named':>8}")
    for row in rows:
        figures = f"{row.accuracy:>9.4f}{row.uar:>8.4f}{row.ece:>8.4f}{row.named:>8.4f}"
        print(f"{row.case:<34}{row.strategy:<18}{figures}")
    cases = list(dict.fromkeys(row.case for row in weights))
    print(
        f"\nweighted_average, accuracy and ECE at the voice's weight\n{'':<8}"
        + "".join(f"{case:>20}" for case in cases)
    )
    for weight in dict.fromkeys(row.voice_weight for row in weights):
        own = [row for row in weights if row.voice_weight == weight]
        print(f"{weight:<8.1f}" + "".join(f"{row.accuracy:>12.4f}{row.ece:>8.4f}" for row in own))
    print(
        "\nweights of the log-linear pool, fitted without the pair's fold of actors and half of the faces; mean over "
        f"clear and poor cases\n{'pool':<34}{'accuracy':>9}{'ECE':>8}{'loss':>8}  weights, fitted on all"
    )
    for one in fitted:
        shown = " ".join(f"{weight:g}" for weight in one.weights)
        print(f"{one.pool:<34}{one.accuracy:>9.4f}{one.ece:>8.4f}{one.loss:>8.4f}  {shown}")

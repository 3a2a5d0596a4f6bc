"""affectd-convert evaluate: a bundle's variant on labelled faces or clips, by the device's own code."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affectd.inference.interpreter import RUNTIMES
from affectd.inference.manifest import KINDS
from affectd_convert.commands import Steps, evaluate_fusion
from affectd_convert.commands.left_out import print_left_out
from affectd_convert.errors import DataError

if TYPE_CHECKING:
    from affectd_convert.evaluation.metrics import Evaluation
    from affectd_convert.evaluation.score_bundle import Scores

SPLITS = ("training", "public", "private", "fold0", "fold1", "fold2", "fold3", "fold4", "folds")


def add(steps: Steps) -> None:
    """Add the subcommand's parser."""
    parser = steps.add_parser("evaluate", help="score a bundle's variant on labelled faces or clips")
    parser.add_argument("--model", type=Path, metavar="BUNDLE", help="folder such as models/face-vgg16")
    parser.add_argument("--variant", choices=KINDS, default="int8")
    parser.add_argument(
        "--data",
        type=Path,
        help="face: npz (pixels, label, perhaps usage), or FER2013 as csv or folders; voice: index.csv (file, emotion),"
        " with --split the folder of corpora",
    )
    parser.add_argument(
        "--split",
        choices=SPLITS,
        metavar="SPLIT",
        help="face: training, public or private, else all that is not training; voice: fold0 to fold4, the actors of "
        "a RAVDESS fold, by the model in the bundle that never heard them; folds, all of these",
    )
    parser.add_argument("--runtime", choices=("auto", *RUNTIMES), default="auto")
    parser.add_argument("--robustness", action="store_true", help="score adverse conditions too; takes minutes")
    parser.add_argument(
        "--plots",
        type=Path,
        metavar="DIR",
        help="write confusion.png and reliability.png, or fusion.png, there",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    evaluate_fusion.add_options(parser)
    parser.set_defaults(command=lambda options: _run(parser, options))


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    from affectd_convert.evaluation.score_bundle import score_bundle

    if options.fusion:
        return evaluate_fusion.run(parser, options)
    if options.model is None or options.data is None:
        parser.error("--model and --data are needed, or --fusion")

    scores = score_bundle(
        options.model,
        options.variant,
        options.data,
        split=options.split,
        runtime=options.runtime,
        with_robustness=options.robustness,
        report=lambda sentence: print(sentence, file=sys.stderr, flush=True),
    )
    print_left_out(scores.skipped, sys.stderr)
    if options.plots is not None:
        _plot(options.plots, scores.evaluation, scores.curves, scores.truth)
    if options.json:
        print(json.dumps(_document(scores)))
    else:
        _print_tables(scores)
    return 0


def _document(scores: Scores) -> dict[str, Any]:
    document: dict[str, Any] = {**scores.evaluation.to_json(), "skipped": list(scores.skipped)}
    if (windows := scores.predictions.windows) is not None:
        error = windows.calibration_error(scores.temperature_of)
        document["windows"] = {"n": len(windows.truth), "ece": round(error, 6)}
    if scores.folds:
        document["folds"] = {
            name: {
                "n": fold.samples,
                **{key: round(getattr(fold, key), 6) for key in ("accuracy", "uar", "ece")},
                "ece_by_chance": round(chance, 6),
            }
            for (name, fold), chance in zip(scores.folds.items(), scores.ece_by_chance, strict=True)
        }
    if scores.robustness:
        document["robustness"] = [
            {"condition": row.condition, "accuracy": row.accuracy, "uar": row.uar} for row in scores.robustness
        ]
    if scores.scenes:
        document["scenes"] = [row.to_json() for row in scores.scenes]
    return document


def _plot(folder: Path, evaluation: Evaluation, curves: Any, truth: Any) -> None:
    from affectd_convert.evaluation.plots import plot_confusion, plot_reliability

    try:
        folder.mkdir(parents=True, exist_ok=True)
        plot_confusion(evaluation, folder / "confusion.png")
        plot_reliability(curves, truth, folder / "reliability.png")
    except OSError as error:
        raise DataError(f"{folder}: the plots cannot be written: {error}") from error


def _print_tables(scores: Scores) -> None:
    from affectd_convert.evaluation.robustness.scenes import MOST_FACES

    evaluation = scores.evaluation
    print(
        f"{scores.model} on {scores.runtime}: {evaluation.samples} samples\n"
        f"accuracy {evaluation.accuracy:.4f}  macro F1 {evaluation.macro_f1:.4f}  UAR {evaluation.uar:.4f}  "
        f"ECE {evaluation.ece:.4f}"
    )
    if (windows := scores.predictions.windows) is not None:
        error = windows.calibration_error(scores.temperature_of)
        print(f"of their {len(windows.truth)} windows, as the daemon answers: ECE {error:.4f}")
    _print_labels(evaluation)
    if scores.folds:
        print(f"\n{'fold':<10}{'n':>7}{'accuracy':>10}{'UAR':>10}{'ECE':>10}   of a calibrated model, by chance")
        for (name, fold), chance in zip(scores.folds.items(), scores.ece_by_chance, strict=True):
            figures = f"{fold.accuracy:>10.4f}{fold.uar:>10.4f}{fold.ece:>10.4f}"
            print(f"{name:<10}{fold.samples:>7}{figures}{chance:>9.4f}")
    if scores.scenes:
        print("\nready crops, which need no finding", end="")
    if scores.robustness:
        print(f"\n{'condition':<36}{'accuracy':>10}{'UAR':>10}")
    for condition in scores.robustness:
        print(f"{condition.condition:<36}{condition.accuracy:>10.4f}{condition.uar:>10.4f}")
    if scores.scenes:
        print(f"\nfrom the scene, where the face must be found first: {min(MOST_FACES, evaluation.samples)} faces")
        print(f"{'condition':<36}{'found':>10}{'right of all':>14}{'of found':>10}")
    for row in scores.scenes:
        print(f"{row.condition:<36}{row.found:>10.4f}{row.right_of_all:>14.4f}{row.right_of_found:>10.4f}")


def _print_labels(evaluation: Evaluation) -> None:
    print(f"\n{'label':<10}{'precision':>10}{'recall':>8}{'F1':>8}{'n':>7}   taken for, true labels down")
    print(f"{'':<46}" + "".join(f"{label:>9}" for label in evaluation.labels))
    shares = zip(evaluation.precision, evaluation.recall, evaluation.f1, strict=True)
    for label, values, row in zip(evaluation.labels, shares, evaluation.confusion, strict=True):
        if row.sum():
            precision, recall, f1 = (f"{value:.3f}" for value in values)
        else:
            precision = recall = f1 = "-"
        counts = "".join(f"{count:>9}" for count in row)
        print(f"{label:<10}{precision:>10}{recall:>8}{f1:>8}{row.sum():>7}   {counts}")

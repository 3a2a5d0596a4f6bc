"""affectd-convert train: train a reference network; the same command goes on where it was stopped."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from affectd_convert.commands import Steps
from affectd_convert.training.plan import Stage


def add(steps: Steps) -> None:
    """Add the subcommand's parser."""
    parser = steps.add_parser("train", help="train a reference network; resumable: the same command goes on")
    parser.add_argument("task", choices=("face", "voice"))
    parser.add_argument("--data", type=Path, required=True, help="FER2013 for face; the folder of corpora for voice")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run: checkpoint, history, curves, model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"))
    parser.add_argument("--epochs", type=int, help="voice: how many")
    parser.add_argument(
        "--fold",
        type=_fold,
        metavar="FOLD",
        help="voice: RAVDESS fold 0..4 is held out for validation; 'leaking': clips at random; 'none', the default: "
        "everybody is trained on",
    )
    parser.add_argument(
        "--stages", nargs="+", type=_stage, metavar="SIZExEPOCHS", help="face: growing images, such as 24x6 32x4 48x9"
    )
    parser.add_argument("--engine", choices=("keras", "torch"), help="face: torch where it is installed")
    parser.add_argument("--peak-rate", type=float, help="highest learning rate")
    parser.add_argument("--augmentation", type=float, default=1.0, help="face: strength, 1 as designed")
    parser.add_argument(
        "--mixup", type=float, default=0.0, metavar="ALPHA", help="face: for long schedules, such as 0.2"
    )
    parser.add_argument(
        "--sharpness", type=float, default=0.0, metavar="RADIUS", help="face: sharpness-aware minimization, such as 0.2"
    )
    parser.add_argument(
        "--begin-with", type=Path, metavar="RUN", help="weights of a finished run, or (face) of a bundle"
    )
    parser.add_argument(
        "--slim", action="store_true", help="face: a network of 6.8 M parameters out of --begin-with's 16.3 M"
    )
    parser.add_argument(
        "--taught", action="store_true", help="face: learn the answers of --begin-with's network besides the labels"
    )
    parser.set_defaults(command=_run)


def _stage(text: str) -> Stage:
    size, _, epochs = text.partition("x")
    return Stage(size=int(size), epochs=int(epochs))


def _fold(text: str) -> int | str | None:
    if text in {"leaking", "none"}:
        return None if text == "none" else text
    if text not in {"0", "1", "2", "3", "4"}:
        raise argparse.ArgumentTypeError(f"{text!r}: expected 0, 1, 2, 3, 4, leaking or none")
    return int(text)


def _run(options: argparse.Namespace) -> int:
    from affectd_convert import train
    from affectd_convert.training import engine

    face = options.task == "face"
    plan = replace(train.FACE_PLAN, engine=engine.fastest()) if face else train.VOICE_PLAN
    stages = (Stage(epochs=options.epochs),) if options.epochs else options.stages
    plan = replace(
        plan,
        seed=options.seed,
        precision=options.precision or plan.precision,
        stages=tuple(stages or plan.stages),
        peak_rate=options.peak_rate or plan.peak_rate,
        engine=options.engine or plan.engine,
        sharpness=options.sharpness,
    )
    if face:
        train.train_face(
            options.data,
            options.run,
            plan=plan,
            augmentation=options.augmentation,
            mixup=options.mixup,
            begin_with=options.begin_with,
            slim=options.slim,
            taught=options.taught,
        )
    else:
        train.train_voice(options.data, options.run, plan=plan, fold=options.fold, begin_with=options.begin_with)
    return 0

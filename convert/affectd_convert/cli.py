"""affectd-convert: from a data folder to a finished bundle, each step on its own or all in a row."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from affectd import __version__
from affectd.errors import AffectdError
from affectd_convert.training.loop import Stage


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; give the exit code."""
    options = _parser().parse_args(arguments)
    # Before Keras is imported; BLAS threads only slow small products down.
    os.environ.setdefault("KERAS_BACKEND", getattr(options, "backend", "tensorflow"))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        return int(options.command(options))
    except AffectdError as error:
        print(f"affectd-convert: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("affectd-convert: stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="affectd-convert", description=__doc__)
    parser.add_argument("--version", action="version", version=f"affectd-convert {__version__}")
    steps = parser.add_subparsers(required=True, metavar="STEP")

    datasets = steps.add_parser("datasets", help="say what a data folder holds: corpora, speakers, labels, licences")
    datasets.add_argument("data", type=Path, help="fer2013.npz, fer2013.csv, a folder of faces, or a folder of speech")
    datasets.set_defaults(command=_datasets)

    train = steps.add_parser("train", help="train a reference network; resumable: the same command goes on")
    train.add_argument("task", choices=("face", "voice"))
    train.add_argument("--data", type=Path, required=True, help="FER2013 for face; the folder of corpora for voice")
    train.add_argument("--run", type=Path, required=True, help="folder of the run: checkpoint, history, curves, model")
    train.add_argument("--backend", default="tensorflow", choices=("tensorflow", "torch", "jax"))
    train.add_argument("--seed", type=int, default=1)
    train.add_argument("--precision", choices=("float32", "mixed_bfloat16", "mixed_float16"), help="Keras dtype policy")
    train.add_argument(
        "--stages", nargs="+", type=_stage, metavar="SIZExEPOCHS", help="face: growing images, such as 24x6 32x4 48x9"
    )
    train.add_argument("--peak-rate", type=float, help="highest learning rate")
    train.add_argument("--augmentation", type=float, default=1.0, help="face: strength, 1 as designed")
    train.add_argument("--begin-with", type=Path, metavar="RUN", help="face: begin with a finished run's weights")
    train.add_argument(
        "--fold", type=int, default=3, choices=range(5), help="voice: the RAVDESS fold kept for validation"
    )
    train.set_defaults(command=_train)

    bundle = steps.add_parser("bundle", help="quantize a finished run, prove the variants, write the bundle")
    bundle.add_argument("--run", type=Path, required=True, help="folder of the run, as given to train")
    bundle.add_argument("--data", type=Path, required=True, help="the data that the run was trained on")
    bundle.add_argument("--out", type=Path, required=True, help="folder of the bundle, such as models/face-vgg16")
    bundle.add_argument("--version", required=True, help="version of the model, such as 0.1.0")
    bundle.add_argument("--maturity", default="released", help="one line on what to expect of the weights")
    bundle.add_argument("--kinds", nargs="+", choices=("float32", "float16", "dynamic", "int8"))
    bundle.set_defaults(command=_bundle)

    verify = steps.add_parser("verify", help="run bundles' golden samples on every TFLite runtime installed")
    verify.add_argument("bundles", type=Path, nargs="+", metavar="BUNDLE", help="folders such as models/*")
    verify.set_defaults(command=_verify)
    return parser


def _stage(text: str) -> Stage:
    size, _, epochs = text.partition("x")
    return Stage(size=int(size), epochs=int(epochs))


def _bundle(options: argparse.Namespace) -> int:
    from affectd_convert import reference

    bundle = reference.make_bundle(
        options.run,
        options.data,
        options.out,
        version=options.version,
        maturity=options.maturity,
        kinds=options.kinds or reference.SHIPPED,
    )
    print(f"{bundle.folder}: written; its figures stand in {bundle.folder / 'CARD.md'}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from affectd_convert import verify

    rows = verify.verify_bundles([path for path in options.bundles if path.is_dir()])
    verify.print_table(rows)
    return 0 if verify.passed(rows) else 9


def _datasets(options: argparse.Namespace) -> int:
    from affectd.events import LABELS, VOICE_LABELS
    from affectd_convert.datasets import fer2013, speech

    data: Path = options.data
    if data.suffix in {".npz", ".csv"} or any(
        (data / name).exists() for name in ("fer2013.npz", "fer2013.csv", "train")
    ):
        faces = fer2013.read_fer2013(data)
        print(f"FER2013 ({fer2013.LICENCE})")
        for name, usage in (("Training", fer2013.TRAINING), ("PublicTest", fer2013.PUBLIC_TEST)):
            split = faces.split(usage)
            counts = ", ".join(f"{label} {int((split.label == i).sum())}" for i, label in enumerate(LABELS))
            print(f"  {name:<10} {len(split.label):6d} faces: {counts}")
        for sentence in faces.skipped:
            print(f"  left out: {sentence}")
        return 0
    clips = speech.read_speech(data)
    for corpus in speech.CORPORA:
        mine = [clip for clip in clips if clip.corpus == corpus.name]
        if mine:
            emotions = Counter(clip.emotion for clip in mine)
            listing = ", ".join(f"{label} {emotions[label]}" for label in VOICE_LABELS if emotions[label])
            speakers = len({clip.speaker for clip in mine})
            print(f"{corpus.title} ({corpus.licence})\n  {len(mine)} clips of {speakers} speakers: {listing}")
    return 0


def _train(options: argparse.Namespace) -> int:
    from affectd_convert import train

    plan = train.FACE_PLAN if options.task == "face" else train.VOICE_PLAN
    plan = dataclasses.replace(
        plan,
        seed=options.seed,
        precision=options.precision or plan.precision,
        stages=tuple(options.stages or plan.stages),
        peak_rate=options.peak_rate or plan.peak_rate,
    )
    if options.task == "face":
        train.train_face(
            options.data,
            options.run,
            plan=plan,
            augmentation=options.augmentation,
            begin_with=options.begin_with,
        )
    else:
        train.train_voice(options.data, options.run, plan=plan, fold=options.fold)
    return 0


if __name__ == "__main__":
    sys.exit(main())

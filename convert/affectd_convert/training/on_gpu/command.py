"""The command line of scripts/train-on-gpu: pack, train, take."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from affectd.errors import AffectdError
from affectd_convert.errors import DISK_EXIT_CODE, INTERRUPTED, TrainingError
from affectd_convert.training.on_gpu import schedule

NAME = "scripts/train-on-gpu"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step; return the exit code."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(given)
    options.typed = shlex.join([NAME, *given]).replace(f"{Path.home()}/", "~/")
    try:
        return int(options.step(options))
    except AffectdError as error:
        print(f"train-on-gpu: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        print(f"train-on-gpu: {where}{error.strerror or error}; make room there or give rights to it", file=sys.stderr)
        return DISK_EXIT_CODE
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    program = argparse.ArgumentParser(prog="train-on-gpu", description=__doc__)
    steps = program.add_subparsers(required=True, metavar="STEP")
    pack = steps.add_parser("pack", help="on the workstation: faces and code into one folder, to be copied to the GPU")
    pack.add_argument("--data", type=Path, required=True, help="FER2013, as affectd-convert reads it")
    pack.add_argument("--out", type=Path, required=True, help="the folder")
    pack.set_defaults(step=_pack)
    train = steps.add_parser("train", help="on the GPU machine: an ensemble, and the networks that it teaches")
    _add_training(train)
    train.set_defaults(step=_train)
    take = steps.add_parser("take", help="on the workstation: what came back into the folder of a run, for bundle")
    take.add_argument("out", type=Path, help="folder with taught.json and its parts")
    take.add_argument("--network", choices=schedule.WIDTHS, required=True, help="which of the networks in it")
    take.add_argument("--run", type=Path, required=True, help="folder of the run, such as runs/face-vgg16")
    take.add_argument("--course", default=schedule.TAUGHT_BY_ALL, help="of the ensemble: vgg16-seed1; taught")
    take.set_defaults(step=_take)
    return program


def _add_training(train: argparse.ArgumentParser) -> None:
    names = list(schedule.WIDTHS)
    train.add_argument("--data", type=Path, required=True, help="folder that pack made")
    train.add_argument("--out", type=Path, help="folder of checkpoints and of what was learnt")
    train.add_argument(
        "--from", type=Path, dest="begun", help="folder of checkpoints of another machine, to go on from"
    )
    train.add_argument("--minutes", type=_above_zero, default=10.0, help="until all is trained; 10")
    train.add_argument("--networks", nargs="+", choices=names, default=names, metavar="NAME", help="are taught; all")
    train.add_argument("--ensemble", nargs="+", choices=names, default=["vgg16"], metavar="NAME", help="teaches; vgg16")
    train.add_argument("--seeds", type=_count, default=3, help="of each network of the ensemble; 3")
    train.add_argument("--epochs", type=_count, default=300, help="of each course, where the minutes allow; 300")
    train.add_argument("--batch-size", type=_count, default=512, help="512")
    train.add_argument("--peak-rate", type=_above_zero, default=0.12, help="highest learning rate; 0.12")
    train.add_argument("--mixup", type=_zero_or_more, default=0.2, help="alpha of mixup, 0: none; 0.2")
    train.add_argument("--cpu", action="store_true", help="on the processor, for a trial")
    train.add_argument(
        "--estimate", action="store_true", help="print what an NVIDIA H200 would take, and how that is reckoned"
    )
    train.set_defaults(refuse=train.error)


def _pack(options: argparse.Namespace) -> int:
    from affectd_convert.training.on_gpu.pack import pack

    written = pack(options.data, options.out)
    print(f"{options.out}: written, {written / 1e6:.1f} MB; there: python3 {NAME} train --data . --out OUT")
    return 0


def _train(options: argparse.Namespace) -> int:
    if options.estimate:
        from affectd_convert.training.on_gpu.pack import read_pack

        courses = schedule.courses_of(options.networks, options.ensemble, options.seeds)
        faces = len(read_pack(options.data).training.label)
        print("\n".join(schedule.estimate(courses, faces, options.epochs)))
        return 0
    if options.out is None:
        options.refuse("the following arguments are required: --out")
    try:
        import torch
    except ImportError as error:
        raise TrainingError("PyTorch is not installed here; 'pip install torch'") from error
    from affectd_convert.training.on_gpu.stand import Recipe, go_on_from
    from affectd_convert.training.on_gpu.train import Training, device_for

    device = device_for(cpu=options.cpu)
    if options.begun is not None:
        go_on_from(options.begun, options.out)
    recipe = Recipe(
        networks=tuple(options.networks),
        ensemble=tuple(options.ensemble),
        seeds=options.seeds,
        epochs=options.epochs,
        batch_size=options.batch_size,
        peak_rate=options.peak_rate,
        mixup=options.mixup,
        minutes=options.minutes,
        command=options.typed,
    )
    stops: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: stops.append(got))
    try:
        done = Training(options.data, options.out, recipe, device, _say).train(lambda: bool(stops))
    except torch.OutOfMemoryError as error:
        raise TrainingError(f"the GPU's memory is too small for --batch-size {options.batch_size}; halve it") from error
    if not done:
        _say("stopped after a whole epoch; the same command goes on")
        return INTERRUPTED
    _say(f"{options.out}: {schedule.TAUGHT_BY_ALL}.json and the parts that it lists are what 'take' needs")
    return 0


def _take(options: argparse.Namespace) -> int:
    from affectd_convert.training.on_gpu.take import take

    print(f"{take(options.out, options.course, options.network, options.run)}: written")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, 1 or more")
    return int(text)


def _zero_or_more(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number, 0 or more")
    return number


def _above_zero(text: str) -> float:
    number = _zero_or_more(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return number

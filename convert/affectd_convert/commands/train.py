"""affectd-convert train: train a reference network; the same command goes on where it was stopped."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affectd_convert.architectures.catalogue import FACE, VOICE
from affectd_convert.commands import Steps
from affectd_convert.training.plan import Plan, Stage

if TYPE_CHECKING:
    from affectd_convert.training.face import FaceRecipe
    from affectd_convert.training.run_config import RunConfig
    from affectd_convert.training.voice import VoiceRecipe

OF_ONE_TASK = {
    "face": ("stages", "engine", "augmentation", "mixup", "sharpness", "slim", "taught", "teacher"),
    "voice": ("epochs", "fold"),
}
"""Options that the other task does not know."""
SMALLEST_FACE = 16
"""Side of the smallest picture that VGG16 takes."""


def add(steps: Steps) -> None:
    """Add the subcommand's parser."""
    # What is not given is absent, so that each task has its own defaults and refuses the other's options.
    parser = steps.add_parser(
        "train",
        help="train a reference network; resumable: the same command goes on",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("task", choices=("face", "voice"))
    parser.add_argument("--data", type=Path, required=True, help="FER2013 for face; the folder of corpora for voice")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run: checkpoint, history, curves, model")
    parser.add_argument("--seed", type=_seed, default=1)
    parser.add_argument(
        "--architecture",
        choices=(*FACE, *VOICE),
        metavar="NAME",
        help=f"of a face: {', '.join(FACE)}; of a voice: {', '.join(VOICE)}",
    )
    parser.add_argument(
        "--precision", choices=("float32", "mixed_bfloat16"), help="face: mixed_bfloat16 where the processor has it"
    )
    parser.add_argument("--epochs", type=_count, help="voice: how many")
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
    parser.add_argument("--peak-rate", type=_above_zero, help="highest learning rate")
    parser.add_argument("--augmentation", type=_zero_or_more, help="face: strength, 1 as designed")
    parser.add_argument("--mixup", type=_zero_or_more, metavar="ALPHA", help="face: for long schedules, such as 0.2")
    parser.add_argument(
        "--sharpness", type=_zero_or_more, metavar="RADIUS", help="face: sharpness-aware minimization, such as 0.2"
    )
    parser.add_argument("--begin-with", type=Path, metavar="RUN", help="weights of a finished run, or of a bundle")
    parser.add_argument(
        "--slim", action="store_true", help="face: a network of 6.8 M parameters out of --begin-with's 16.3 M"
    )
    parser.add_argument(
        "--taught", action="store_true", help="face: learn the answers of --begin-with's network besides the labels"
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="face: as --taught, by the networks of other runs or bundles, of which the mean is learnt",
    )
    parser.set_defaults(command=_run, refuse=parser.error, typed="")


def config_of(options: argparse.Namespace) -> RunConfig:
    """Return the configuration of the run asked for, but for what is fitted on the data.

    Raises DataError or TrainingError when the data, or the run to begin with, cannot be read.
    """
    if options.task == "face":
        from affectd_convert.training.face import face_config

        return face_config(options.data, _face_recipe(options))
    from affectd_convert.training.voice import voice_config

    return voice_config(options.data, _voice_recipe(options))


def _run(options: argparse.Namespace) -> int:
    if options.task == "face":
        from affectd_convert.training.face import train_face

        train_face(options.data, options.run, _face_recipe(options))
    else:
        from affectd_convert.training.voice import train_voice

        train_voice(options.data, options.run, _voice_recipe(options))
    return 0


def _face_recipe(options: argparse.Namespace) -> FaceRecipe:
    from affectd_convert.training import engine
    from affectd_convert.training.face import PLAN, SIZES, FaceRecipe

    _refuse_other_options(options)
    name = "vgg16-slim" if "slim" in options else _architecture(options, FACE, SIZES[0])
    # PyTorch has a twin of plain stacks only; only what takes any side grows its pictures.
    fastest = engine.fastest() if name in SIZES else "keras"
    network = FACE[name]
    plan = replace(
        PLAN,
        engine=fastest,
        precision="float32" if network.depthwise else engine.fastest_precision(),
        batch_size=network.batch_size,
        optimizer=network.optimizer,
        peak_rate=network.peak_rate,
    )
    if not network.any_side or network.side != FACE[SIZES[0]].side:
        plan = replace(plan, stages=(Stage(epochs=plan.stages[-2].epochs, size=network.side),))
    plan = _changed(plan, options, ("engine", "sharpness"))
    if "stages" in options:
        plan = replace(plan, stages=tuple(options.stages))
    given = _given(options, ("augmentation", "mixup", "begin_with"))
    return FaceRecipe(plan, name, teachers=_teachers(options), command=options.typed, **given)


def _architecture(options: argparse.Namespace, known: Mapping[str, Any], default: str) -> str:
    name = str(vars(options).get("architecture", default))
    if name not in known:
        options.refuse(f"argument --architecture: {name} is not for the {options.task}; there are {', '.join(known)}")
    return name


def _teachers(options: argparse.Namespace) -> tuple[Path, ...]:
    if "taught" in options:
        if "teacher" in options or "begin_with" not in options:
            options.refuse("argument --taught: by the network of --begin-with, which it needs; else give --teacher")
        return (options.begin_with,)
    return tuple(vars(options).get("teacher", ()))


def _voice_recipe(options: argparse.Namespace) -> VoiceRecipe:
    from affectd_convert.training.voice import PLAN, VoiceRecipe

    _refuse_other_options(options)
    name = _architecture(options, VOICE, "cnn-lstm")
    plan = _changed(PLAN, options)
    if "epochs" in options:
        plan = replace(plan, stages=(Stage(epochs=options.epochs),))
    return VoiceRecipe(plan, name, command=options.typed, **_given(options, ("begin_with", "fold")))


def _refuse_other_options(options: argparse.Namespace) -> None:
    for other in OF_ONE_TASK["voice" if options.task == "face" else "face"]:
        if other in options:
            options.refuse(f"argument --{other}: not for {options.task}")


def _changed(plan: Plan, options: argparse.Namespace, more: tuple[str, ...] = ()) -> Plan:
    return replace(plan, **_given(options, ("seed", "precision", "peak_rate", *more)))


def _given(options: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    return {name: vars(options)[name] for name in names if name in options}


def _stage(text: str) -> Stage:
    size, _, epochs = text.partition("x")
    if not (size.isdecimal() and epochs.isdecimal() and int(size) >= SMALLEST_FACE and int(epochs)):
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected SIZExEPOCHS such as 48x9, a side of {SMALLEST_FACE} or more"
        )
    return Stage(size=int(size), epochs=int(epochs))


def _fold(text: str) -> int | str | None:
    if text in {"leaking", "none"}:
        return None if text == "none" else text
    if text not in {"0", "1", "2", "3", "4"}:
        raise argparse.ArgumentTypeError(f"{text!r}: expected 0, 1, 2, 3, 4, leaking or none")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 0 to {2**32 - 1}")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, 1 or more")
    return int(text)


def _above_zero(text: str) -> float:
    number = _zero_or_more(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return number


def _zero_or_more(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number, 0 or more")
    return number

"""affectd-convert all: from a data folder to a finished bundle, every step a command that could be typed alone."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from affectd_convert.commands import Steps, train
from affectd_convert.errors import INTERRUPTED, DataError

if TYPE_CHECKING:
    from affectd_convert.training.run_config import RunConfig


def add(steps: Steps) -> None:
    """Add the subcommand's parser."""
    parser = steps.add_parser(
        "all", help="from a data folder to a finished bundle; resumable: the same command goes on"
    )
    parser.add_argument("task", choices=("face", "voice"))
    parser.add_argument("--data", type=Path, required=True, help="FER2013 for face; the folder of corpora for voice")
    parser.add_argument("--out", type=Path, required=True, help="folder of bundles, such as models")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of the runs; runs")
    parser.add_argument("--version", default="0.1.0", help="version of the model; 0.1.0")
    parser.add_argument(
        "--train",
        nargs=argparse.REMAINDER,
        default=[],
        metavar="OPTION",
        help="last: options of train, such as --seed 2",
    )
    parser.set_defaults(command=_run)


@dataclass(frozen=True)
class Step:
    """One subcommand, in a process of its own: TensorFlow and the device runtimes do not share one well."""

    title: str
    arguments: tuple[str, ...]
    done: Callable[[], bool] = lambda: False
    begun: Callable[[], bool] = lambda: False
    """Whether a part of it is done: the rest says nothing of how long such a step takes."""

    @property
    def kind(self) -> str:
        """What it has in common with steps that take about as long."""
        return self.title.partition(" ")[0]


def _run(options: argparse.Namespace) -> int:
    steps = steps_of(options)
    seconds: dict[str, float] = {}
    for number, step in enumerate(steps, start=1):
        head = f"[{number}/{len(steps)}] {step.title}"
        if step.done():
            print(f"{head}: already done", flush=True)
            continue
        print(f"{head}: affectd-convert {shlex.join(step.arguments)}", flush=True)
        whole, began = not step.begun(), time.monotonic()
        command = [sys.executable, "-m", "affectd_convert.commands.main", *step.arguments]
        code = subprocess.run(command, check=False).returncode  # noqa: S603
        if code:
            print(f"{head}: {_ended(code)}", file=sys.stderr)
            return code
        took = time.monotonic() - began
        if whole:
            seconds[step.kind] = took
        print(f"{head}: done in {_duration(took)}{_to_go(steps[number:], seconds)}", flush=True)
    return 0


def _ended(code: int) -> str:
    """Return how a step ended, and what the same command will do."""
    if code in {INTERRUPTED, -signal.SIGINT, -signal.SIGTERM}:
        return "stopped; the same command goes on from here"
    how = f"crashed ({signal.Signals(-code).name})" if code < 0 else f"ended with exit code {code}"
    return f"{how}; mend what it says above, and the same command goes on from here"


def _to_go(later: Sequence[Step], seconds: Mapping[str, float]) -> str:
    """Return which steps are to go, and how long those take of whose kind one was timed: others cannot be guessed."""
    kinds = Counter(step.kind for step in later if not step.done())
    named = [
        (f"{count} x {kind}" if count > 1 else kind)
        + (f" (about {_duration(count * seconds[kind])})" if kind in seconds else "")
        for kind, count in kinds.items()
    ]
    return f"; to go: {', '.join(named)}" if named else ""


def steps_of(options: argparse.Namespace) -> list[Step]:
    """Return the steps for the parsed options. Raises DataError when the voices cannot be read, or are too few."""
    return _face_steps(options) if options.task == "face" else _voice_steps(options)


def _face_steps(options: argparse.Namespace) -> list[Step]:
    name = "face-vgg16"
    run = options.runs / name
    return [_datasets(options), _train(options, run), *_bundle_steps(options, name, {"": run})]


def _voice_steps(options: argparse.Namespace) -> list[Step]:
    from affectd_convert.datasets import speech
    from affectd_convert.datasets.labelled import FOLDS

    name = "voice-cnn-lstm"
    run = options.runs / name
    folds = sorted({fold for clip in speech.read_speech(options.data) if (fold := speech.fold_of(clip)) is not None})
    if len(folds) < 2:
        there = f"only fold {folds[0]} is" if folds else "none is"
        raise DataError(
            f"{options.data}: figures need RAVDESS actors of two folds or more, each fold left out once, and {there} "
            "here; add actors of another fold, or train a single run with 'affectd-convert train voice'"
        )
    held_out = {fold: options.runs / f"{name}-fold{fold}" for fold in folds}
    leaking = options.runs / f"{name}-leaking"
    return [
        _datasets(options),
        *(_train(options, folder, "--fold", str(fold)) for fold, folder in held_out.items()),
        _train(options, leaking, "--fold", speech.LEAKING),
        _train(options, run, "--fold", "none"),
        *_bundle_steps(
            options,
            name,
            {"": run, **{f"{FOLDS}/fold{fold}": folder for fold, folder in held_out.items()}},
            *("--folds", *map(str, held_out.values()), "--leaking", str(leaking)),
        ),
    ]


def _datasets(options: argparse.Namespace) -> Step:
    return Step("datasets", ("datasets", str(options.data)))


def _train(options: argparse.Namespace, run: Path, *more: str) -> Step:
    arguments = ("train", options.task, "--data", str(options.data), "--run", str(run), *more, *options.train)
    program = argparse.ArgumentParser(prog="affectd-convert")
    train.add(program.add_subparsers())
    step_options = program.parse_args(arguments)

    @cache
    def asked() -> RunConfig:
        return train.config_of(step_options)

    def trained() -> bool:
        from affectd_convert.training.run_config import is_run_of

        return (run / "model.keras").exists() and is_run_of(run, asked())

    return Step(f"train {run.name}", arguments, trained, (run / "state.json").exists)


def _bundle_steps(options: argparse.Namespace, name: str, runs: Mapping[str, Path], *more: str) -> list[Step]:
    """Return the steps from runs to the bundle; `runs` says which run is behind each folder in it, "" the bundle."""
    from affectd_convert.bundling.reference_model import SHIPPED

    folder, run = options.out / name, runs[""]
    sources = ("--run", str(run), "--data", str(options.data))

    def written() -> bool:
        return all(_is_bundle_of(folder / part, one / "model.keras", options.version) for part, one in runs.items())

    return [
        Step("quantize", ("quantize", *sources, "--kinds", *SHIPPED), written),
        Step("bundle", ("bundle", *sources, "--out", str(folder), "--version", options.version, *more), written),
        Step("verify", ("verify", str(folder))),
    ]


def _is_bundle_of(folder: Path, model: Path, version: str) -> bool:
    """Return whether `folder` holds a bundle of this version, written after the model."""
    manifest = folder / "manifest.json"
    try:
        stands = json.loads(manifest.read_text(encoding="utf-8"))["version"] == version
        return stands and manifest.stat().st_mtime >= model.stat().st_mtime
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours} h {rest // 60:02d} min" if hours else f"{rest // 60} min {rest % 60:02d} s"

"""Every network of the papers by one protocol: trained, converted, measured, and a row each of one table.

python -m affectd_convert.papers.networks --data ~/data --run runs/networks [--shipped models] [--only NAME ...]
    [--epochs NAME=N ...]

Faces: FER2013's own split, PublicTest held out. Voices: one RAVDESS fold's actors held out, who are in no other corpus.
What is done is kept, and the same command goes on. A network whose bundle is in the folder --shipped is not trained
again: its row is that of the bundle, of the fold's own where it has one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from affectd.errors import AffectdError
from affectd.inference.bundle import Bundle
from affectd.inference.manifest import Metrics
from affectd_convert.architectures.catalogue import FACE, VOICE
from affectd_convert.conversion.float_model import parent_logits, parent_of
from affectd_convert.conversion.tflite_logits import device_logits
from affectd_convert.conversion.variants import Trial, make_variants
from affectd_convert.datasets.labelled import FOLDS
from affectd_convert.errors import DataError, TrainingError
from affectd_convert.evaluation.cost import measure_costs
from affectd_convert.evaluation.metrics import Evaluation
from affectd_convert.evaluation.report import measure
from affectd_convert.evaluation.run_data import read_run_data
from affectd_convert.training.run_config import RunConfig, read_config

CLAIMS = {
    "vgg16": "81 % in the abstract; train 85, validation 70",
    "das-cnn": "about 60 %",
    "dargula-cnn": "64.9 %",
    "resnet50": "66.9 %, frozen on ImageNet",
    "cnn-lstm": "train 98 %, validation 85 %",
    "mlp": "99 % on training data",
    "lstm": "poor",
    "cnn": "macro F1 0.65",
    "cnn-then-lstm": "macro F1 0.62",
    "cnn-bilstm": "macro F1 0.67",
    "cnn-gru": "macro F1 0.58",
    "cnn-attention": "macro F1 0.68",
}
"""What the papers say of them, on random splits, where they say anything."""
HEAD = [
    "network",
    "paper",
    "claims",
    "given",
    "held out",
    "variant",
    "accuracy",
    "macro F1",
    "UAR",
    "loss",
    "parameters",
    "MACs",
    "bytes",
]
EXACT = "float parent"
Figures = Metrics | Evaluation
FOLD = 3
"""Of RAVDESS, its actors held out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRow:
    """One network, trained and measured; shares 0..1."""

    task: str
    name: str
    paper: str
    epochs: int
    trained_on: str
    shipped: bool
    """Whether it is a bundle that affectd comes with."""
    split: str
    variant: str
    """What the box would take: int8 where it holds."""
    accuracy: float
    macro_f1: float
    uar: float
    loss: float
    """Accuracy of the float parent less that of the variant."""
    parameters: int
    macs: int | None
    bytes: int
    milliseconds: dict[str, float]
    """By runtime."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the rows asked for that are not there yet, and print the table; return the exit code."""
    options = _parser().parse_args(arguments)
    options.epochs = dict(options.epochs)
    try:
        for name in options.only:
            task = "face" if name in FACE else "voice"
            if not _kept(options.run, task, name).exists():
                _keep(options.run, _row(task, name, options))
        print(table(read_rows(options.run)))
    except AffectdError as error:
        print(f"networks: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"networks: {error}; the rows so far are kept, and the same command goes on", file=sys.stderr)
        return TrainingError.exit_code
    except KeyboardInterrupt:
        print("networks: stopped; the same command goes on", file=sys.stderr)
        return 130
    return 0


def read_rows(run: Path) -> list[NetworkRow]:
    """Return the rows in a folder, in the catalogue's order. Raises DataError when one cannot be read."""
    rows = []
    for task, names in (("face", FACE), ("voice", VOICE)):
        for file in (_kept(run, task, name) for name in names):
            if not file.exists():
                continue
            try:
                rows.append(NetworkRow(**json.loads(file.read_text(encoding="utf-8"))))
            except (OSError, ValueError, TypeError) as error:
                raise DataError(f"{file}: not a row of this program ({error}); remove it to make it anew") from error
    return rows


def table(rows: Sequence[NetworkRow]) -> str:
    """Return rows as a Markdown table."""
    runtimes = " / ".join(dict.fromkeys(runtime for row in rows for runtime in row.milliseconds))
    lines: list[Sequence[object]] = [(*HEAD, f"ms, {runtimes}"), ("---",) * (len(HEAD) + 1)]
    for row in rows:
        shares = (f"{share:.1%}" for share in (row.accuracy, row.macro_f1, row.uar, row.loss))
        timings = " / ".join(f"{ms:.1f}" for ms in row.milliseconds.values())
        macs = "-" if row.macs is None else f"{row.macs:,}"
        given = f"{'ships; ' if row.shipped else ''}{row.epochs} x {row.trained_on}"
        what = (f"{row.task} `{row.name}`", row.paper, CLAIMS.get(row.name, "-"), given, row.split, row.variant)
        lines.append((*what, *shares, f"{row.parameters:,}", macs, f"{row.bytes:,}", timings))
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _row(task: str, name: str, options: argparse.Namespace) -> NetworkRow:
    """Train and measure one network, or measure its bundle if it is shipped.

    Raises DataError, TrainingError or ConversionError when a step fails, ModelError when a bundle does not load.
    """
    shipped = None if options.shipped is None else options.shipped / f"{task}-{name}"
    if shipped is not None and shipped.is_dir():
        return _of_bundle(shipped)
    data = options.data / ("fer2013.npz" if task == "face" else "speech")
    run = options.run / f"{task}-{name}"
    how = [f"--{option}={value}" for option, value in _training(task, name, options.epochs.get(name)).items()]
    _train(task, "--data", str(data), "--run", str(run), "--architecture", name, *how)
    model, data_of_run = parent_of(run), read_run_data(run, data)
    held_out = data_of_run.held_out
    trial = Trial(held_out.inputs, held_out.truth)
    made = make_variants(model, data_of_run.representative, run / "tflite", ["int8"], trial)
    variant, file = next(iter(made.paths.items()))
    predictions = {
        variant: held_out.predictions(device_logits(file, held_out.inputs)),
        EXACT: held_out.predictions(parent_logits(model, held_out.inputs)),
    }
    config = read_config(run)
    found = measure(held_out.name, predictions, config.labels).by_kind
    return _measured(
        config,
        file,
        found[variant],
        shipped=False,
        variant=variant,
        split=held_out.name,
        loss=found[EXACT].accuracy - found[variant].accuracy,
    )


def _of_bundle(folder: Path) -> NetworkRow:
    """Return the row of a bundle; of a voice, that of the fold's model."""
    whole = Bundle.load(folder)
    one = folder / FOLDS / f"fold{FOLD}"
    bundle = Bundle.load(one) if one.is_dir() else whole
    figures, exact = whole.metrics[0], whole.metrics[-1]
    return _measured(
        read_config(bundle.folder / "training"),
        bundle.model_file(figures.variant),
        bundle.metrics[0],
        shipped=True,
        variant=figures.variant,
        split=bundle.metrics[0].split,
        loss=exact.accuracy - figures.accuracy,
    )


def _measured(config: RunConfig, file: Path, figures: Figures, **more: Any) -> NetworkRow:
    costs = measure_costs(file)
    return NetworkRow(
        task=config.task,
        name=config.architecture,
        paper=(FACE | VOICE)[config.architecture].paper,
        epochs=_epochs_of(config),
        trained_on=config.data.training,
        accuracy=figures.accuracy,
        macro_f1=figures.macro_f1,
        uar=figures.uar,
        parameters=costs[0].parameters,
        macs=costs[0].macs,
        bytes=file.stat().st_size,
        milliseconds={cost.runtime: cost.milliseconds for cost in costs},
        **more,
    )


def _epochs_of(config: RunConfig) -> int:
    """Return the epochs of a run and of those whose weights it began with."""
    before = config.begins_with
    return config.plan.epochs + (0 if before is None else _epochs_of(RunConfig.from_json(before, "begins_with")))


def _training(task: str, name: str, epochs: int | None) -> dict[str, str]:
    """Return the options of train for a short run."""
    if task == "voice":
        return {"fold": str(FOLD)} | ({} if epochs is None else {"epochs": str(epochs)})
    return {"augmentation": "0.5"} | ({} if epochs is None else {"stages": f"{FACE[name].side}x{epochs}"})


def _train(*arguments: str) -> None:
    command = [sys.executable, "-m", "affectd_convert.commands.main", "train", *arguments]
    if code := subprocess.run(command, check=False).returncode:  # noqa: S603
        raise TrainingError(f"affectd-convert train ended with exit code {code}; the same command goes on")


def _kept(run: Path, task: str, name: str) -> Path:
    return run / f"{task}-{name}" / "row.json"


def _keep(run: Path, row: NetworkRow) -> None:
    file = _kept(run, row.task, row.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(asdict(row), indent=1) + "\n", encoding="utf-8")
    part.replace(file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m affectd_convert.papers.networks", description=__doc__)
    names = (*FACE, *VOICE)
    parser.add_argument("--data", type=Path, required=True, help="folder with fer2013.npz, and speech/ of corpora")
    parser.add_argument("--run", type=Path, required=True, help="folder for runs and rows; the same command goes on")
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="NAME", help=f"in this order; {', '.join(names)}"
    )
    parser.add_argument("--epochs", nargs="+", type=_epochs, default=[], metavar="NAME=N", help="else what train takes")
    parser.add_argument("--shipped", type=Path, metavar="DIR", help="folder of bundles that need no training")
    return parser


def _epochs(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if name not in {*FACE, *VOICE} or not number.isdecimal() or not int(number):
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=N such as simple-cnn=6")
    return name, int(number)


if __name__ == "__main__":
    sys.exit(main())

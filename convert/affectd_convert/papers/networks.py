"""Every network of the papers by one protocol: trained, made a bundle, measured, and a row each of one table.

python -m affectd_convert.papers.networks --data ~/data --run runs/networks [--only NAME ...] [--epochs N]

Faces: FER2013's own split, PublicTest held out. Voices: one RAVDESS fold's actors held out, who are in no other corpus.
Every step is a command of affectd-convert in a process of its own; what is done is kept, and the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from affectd.errors import AffectdError
from affectd.inference.bundle import Bundle
from affectd_convert.architectures.catalogue import FACE, VOICE
from affectd_convert.errors import ConversionError, DataError
from affectd_convert.evaluation.cost import measure_costs

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
    "epochs",
    "held out",
    "variant",
    "accuracy",
    "macro F1",
    "UAR",
    "loss",
    "parameters",
    "MACs",
    "bytes",
    "ms",
]
FOLD = 3
"""Of RAVDESS, its actors held out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRow:
    """One network, trained and measured; shares 0..1."""

    task: str
    name: str
    paper: str
    epochs: int
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
    try:
        for task, networks in (("face", FACE), ("voice", VOICE)):
            for name, network in networks.items():
                if name in options.only and not _kept(options.run, task, name).exists():
                    _keep(options.run, _row(task, name, network.paper, options))
        print(table(read_rows(options.run)))
    except AffectdError as error:
        print(f"networks: {error}", file=sys.stderr)
        return error.exit_code
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
    lines: list[Sequence[object]] = [HEAD, ("---",) * len(HEAD)]
    for row in rows:
        shares = (f"{share:.1%}" for share in (row.accuracy, row.macro_f1, row.uar, row.loss))
        timings = " / ".join(f"{ms:.1f}" for ms in row.milliseconds.values())
        macs = "-" if row.macs is None else f"{row.macs:,}"
        what = (f"{row.task} `{row.name}`", row.paper, CLAIMS.get(row.name, "-"), row.epochs, row.split, row.variant)
        lines.append((*what, *shares, f"{row.parameters:,}", macs, f"{row.bytes:,}", timings))
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _row(task: str, name: str, paper: str, options: argparse.Namespace) -> NetworkRow:
    """Train, convert and measure one network. Raises DataError or ConversionError naming the step that failed."""
    data = options.data / "fer2013.npz" if task == "face" else options.data / "speech"
    run = options.run / f"{task}-{name}"
    length = [] if options.epochs is None else _length(task, name, options.epochs)
    held_out = [] if task == "face" else ["--fold", str(FOLD)]
    sources = ["--data", str(data), "--run", str(run)]
    _step("train", task, *sources, "--architecture", name, *length, *held_out)
    made = run / "bundle"
    _step("bundle", *sources, "--out", str(made), "--version", "0.0.0", "--kinds", "int8", "float16", "float32")
    bundle = Bundle.load(made)
    figures, exact = bundle.metrics[0], bundle.metrics[-1]
    costs = measure_costs(bundle.model_file(figures.variant))
    return NetworkRow(
        task=task,
        name=name,
        paper=paper,
        epochs=len((run / "history.csv").read_text(encoding="utf-8").splitlines()) - 1,
        split=figures.split,
        variant=figures.variant,
        accuracy=figures.accuracy,
        macro_f1=figures.macro_f1,
        uar=figures.uar,
        loss=exact.accuracy - figures.accuracy,
        parameters=costs[0].parameters,
        macs=costs[0].macs,
        bytes=bundle.variants[figures.variant].bytes,
        milliseconds={cost.runtime: cost.milliseconds for cost in costs},
    )


def _length(task: str, name: str, epochs: int) -> list[str]:
    return ["--stages", f"{FACE[name].side}x{epochs}"] if task == "face" else ["--epochs", str(epochs)]


def _step(*arguments: str) -> None:
    command = [sys.executable, "-m", "affectd_convert.commands.main", *arguments]
    code = subprocess.run(command, check=False).returncode  # noqa: S603
    if code:
        raise ConversionError(f"affectd-convert {arguments[0]} ended with exit code {code}; the same command goes on")


def _kept(run: Path, task: str, name: str) -> Path:
    return run / f"{task}-{name}" / "row.json"


def _keep(run: Path, row: NetworkRow) -> None:
    file = _kept(run, row.task, row.name)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(asdict(row), indent=1) + "\n", encoding="utf-8")
    part.replace(file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m affectd_convert.papers.networks", description=__doc__)
    names = (*FACE, *VOICE)
    parser.add_argument("--data", type=Path, required=True, help="folder with fer2013.npz, and speech/ of corpora")
    parser.add_argument("--run", type=Path, required=True, help="folder for runs and rows; the same command goes on")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--epochs", type=int, metavar="N", help="of every network; without it, what train takes")
    return parser


if __name__ == "__main__":
    sys.exit(main())

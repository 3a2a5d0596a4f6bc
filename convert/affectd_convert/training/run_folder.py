"""A run's folder: what was asked, where it stands, how it went. Every file is whole at any moment."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from affectd_convert.errors import TrainingError
from affectd_convert.training.engine import Engine

Row = dict[str, float]
"""Figures of one epoch."""
RECORD = ("config.json", "log.txt", "history.csv", "curves.png")
"""What tells how a run went."""
BEFORE = "before"
"""Folder of the same files of the run that a run began with."""


class RunFolder:
    """config.json, checkpoint and state.json, log.txt, history.csv and curves.png, and at the end model.keras."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Row] = []
        """One for each epoch done."""

    @property
    def name(self) -> str:
        """What reports call the run."""
        return self.path.name

    @property
    def checkpoint(self) -> Path:
        """Networks and optimizer after the last whole epoch."""
        return next(self.path.glob("checkpoint.*"), self.path / "checkpoint")

    @property
    def model(self) -> Path:
        """The finished model."""
        return self.path / "model.keras"

    def claim(self, config: dict[str, Any]) -> None:
        """Make the folder, or make sure that it holds this very run and read where it stands.

        Raises TrainingError when it holds another run, cannot be read, or cannot be written.
        """
        wanted = json.loads(json.dumps(config))
        config_file, state_file = self.path / "config.json", self.path / "state.json"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not config_file.exists():
                config_file.write_text(json.dumps({**config, "made_with": _made_with()}, indent=2) + "\n")
                return
            present = json.loads(config_file.read_text())
            self.rows = json.loads(state_file.read_text()) if state_file.exists() else []
        except OSError as error:
            raise TrainingError(f"{self.path}: cannot be written: {error.strerror}") from error
        except ValueError as error:
            raise TrainingError(f"{self.path}: not readable ({error}); remove the folder to begin anew") from error
        differing = [key for key in wanted if present.get(key) != wanted[key]]
        if differing:
            raise TrainingError(
                f"{self.path}: holds a run with another {', '.join(differing)}; take another --run or remove it"
            )

    def logging(self, report: Callable[[str], None]) -> Callable[[str], None]:
        """Give a `report` that also keeps every line in log.txt."""

        def both(line: str) -> None:
            report(line)
            try:
                with (self.path / "log.txt").open("a", encoding="utf-8") as stream:
                    stream.write(f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} {line}\n")
            except OSError as error:
                report(f"{self.path}/log.txt: cannot be written: {error.strerror}")

        return both

    def save(self, network: Engine, row: Row) -> None:
        """Take in the epoch just done."""
        self.rows.append(row)
        self._write(network.save, self.path / network.checkpoint_name)
        self._write(lambda path: path.write_text(json.dumps(self.rows)), self.path / "state.json")
        self._write(lambda path: _write_history(path, self.rows), self.path / "history.csv")
        self._write(lambda path: _draw_curves(path, self.rows), self.path / "curves.png")

    def finish(self, model: Any) -> Path:
        """Write the finished model."""
        self._write(model.save, self.model)
        return self.model

    def _write(self, write: Callable[[Path], Any], path: Path) -> None:
        """Write beside, then rename: a kill or a full disk leaves the old file whole."""
        beside = path.with_name(f".new-{path.name}")
        try:
            write(beside)
            beside.replace(path)
        # PyTorch and HDF5 say RuntimeError of a full disk.
        except (OSError, RuntimeError) as error:
            beside.unlink(missing_ok=True)
            free = shutil.disk_usage(self.path).free
            raise TrainingError(
                f"{path}: cannot be written: {str(error).strip()}; {free / 1e6:.0f} MB are free on that disk. "
                "The last checkpoint is whole: make room, and the same command goes on"
            ) from error


def copy_record(run: Path, target: Path) -> None:
    """Copy what tells how a run went, and how the runs before it went, to the new folder `target`."""
    target.mkdir(parents=True)
    for name in RECORD:
        if (run / name).is_file():
            shutil.copyfile(run / name, target / name)
    if (run / BEFORE).is_dir():
        copy_record(run / BEFORE, target / BEFORE)


def _made_with() -> dict[str, str]:
    import keras

    return {"keras": keras.__version__, "backend": keras.backend.backend(), "python": sys.version.split()[0]}


def _write_history(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _draw_curves(path: Path, rows: Sequence[Row]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    for axes, names in ((left, ("loss", "val_loss")), (right, ("val_accuracy", "val_uar"))):
        for name in names:
            axes.plot(epochs, [row[name] for row in rows], label=name.replace("val_", "validation "))
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=110, format="png")

"""A run's folder: what was asked, where it stands, how it went. Every file is whole at any moment."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from affectd.version import version
from affectd_convert.errors import TrainingError
from affectd_convert.training.engine import Engine
from affectd_convert.training.run_config import differences

Row = dict[str, float]
"""Figures of one epoch."""
RECORD = ("config.json", "log.txt", "history.csv", "curves.png")
"""What tells how a run went."""
NAMED = 3
"""Settings that a refusal names."""


class RunFolder:
    """config.json, checkpoint and state.json, log.txt, history.csv and curves.png, and at the end model.keras.

    `validation` is what the curves call the samples that every epoch is validated on.
    """

    def __init__(self, path: Path, validation: str = "validation") -> None:
        self.path = path
        self.rows: list[Row] = []
        """One for each epoch done."""
        self._validation = validation
        self._lock: IO[str] | None = None

    @property
    def name(self) -> str:
        """What reports call the run."""
        return self.path.name

    @property
    def checkpoint(self) -> Path:
        """Networks and optimizer after the last whole epoch. Raises TrainingError when somebody took it away."""
        # Older runs have one checkpoint without a number.
        found = [*self.path.glob(f"checkpoint-{len(self.rows)}.*"), *self.path.glob("checkpoint.*")]
        if not found:
            raise TrainingError(
                f"{self.path}: the checkpoint of epoch {len(self.rows)} is not there; remove the folder to begin anew"
            )
        return found[0]

    @property
    def model(self) -> Path:
        """The finished model."""
        return self.path / "model.keras"

    def claim(self, config: Mapping[str, Any], command: str = "") -> None:
        """Make the folder, or make sure that it holds this very run and read where it stands.

        `config` is as JSON has it; `command`, as it was typed, is recorded when the folder is made.
        Raises TrainingError when it holds another run, another process trains it, or it cannot be read or written.
        """
        config_file, state_file = self.path / "config.json", self.path / "state.json"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._keep_others_out()
            if not config_file.exists():
                document = json.dumps({**config, "command": command, "made_with": _made_with()}, indent=2) + "\n"
                _put(lambda path: path.write_text(document), config_file)
                return
            present = json.loads(config_file.read_text())
            self.rows = json.loads(state_file.read_text()) if state_file.exists() else []
        except OSError as error:
            raise TrainingError(f"{self.path}: cannot be written: {error.strerror}") from error
        except ValueError as error:
            raise TrainingError(f"{self.path}: not readable ({error}); remove the folder to begin anew") from error
        if differing := differences(present, config):
            more = f" and {len(differing) - NAMED} more" if len(differing) > NAMED else ""
            raise TrainingError(
                f"{self.path}: holds another run: {', '.join(differing[:NAMED])}{more}; "
                "take another folder, or remove this one"
            )

    def _keep_others_out(self) -> None:
        """Lock the folder until this process ends. Raises TrainingError when another process has, and OSError."""
        self._lock = (self.path / ".lock").open("a")
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise TrainingError(
                f"{self.path}: another process trains it at this moment; wait for it, or stop it"
            ) from error
        except OSError:
            return  # a file system without locks

    def logging(self, report: Callable[[str], None]) -> Callable[[str], None]:
        """Return a `report` that also keeps every line in log.txt."""

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
        rows = [*self.rows, row]
        checkpoint = self.path / f"checkpoint-{len(rows)}{network.suffix}"
        self._write(network.save, checkpoint)
        # With this file the epoch counts; until then the checkpoint before it is the one to go on from.
        self._write(lambda path: path.write_text(json.dumps(rows)), self.path / "state.json")
        self.rows = rows
        for older in set(self.path.glob("checkpoint*")) - {checkpoint}:
            older.unlink(missing_ok=True)
        self._write_course(rows)

    def take_over(self, rows: Sequence[Row], log: Sequence[str]) -> None:
        """Take in how a run went that was trained elsewhere: its figures, and the lines that it reported."""
        self.rows = list(rows)
        self._write(lambda path: path.write_text("".join(f"{line}\n" for line in log)), self.path / "log.txt")

    def finish(self, model: Any) -> Path:
        """Write the finished model, and how the run went, which a disk may have been too full for."""
        self._write_course(self.rows)
        self._write(model.save, self.model)
        return self.model

    def _write_course(self, rows: Sequence[Row]) -> None:
        self._write(lambda path: _write_history(path, rows), self.path / "history.csv")
        self._write(lambda path: _draw_curves(path, rows, self._validation), self.path / "curves.png")

    def _write(self, write: Callable[[Path], Any], path: Path) -> None:
        try:
            _put(write, path)
        # PyTorch and HDF5 say RuntimeError of a full disk.
        except (OSError, RuntimeError) as error:
            free = shutil.disk_usage(self.path).free
            goes_on = "The last checkpoint is whole: make room, and the same command goes on"
            raise TrainingError(
                f"{path}: cannot be written: {str(error).strip()}; {free / 1e6:.0f} MB are free on that disk. "
                + (goes_on if self.rows else "Make room, and the same command begins anew")
            ) from error


def _put(write: Callable[[Path], Any], path: Path) -> None:
    """Write beside, then rename: a kill, a full disk or a power cut leaves the old file whole."""
    beside = path.with_name(f".new-{path.name}")
    try:
        write(beside)
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def copy_record(run: Path, target: Path) -> None:
    """Copy what tells how a run went to the new folder `target`."""
    target.mkdir(parents=True)
    for name in RECORD:
        if (run / name).is_file():
            shutil.copyfile(run / name, target / name)


def _made_with() -> dict[str, str]:
    import keras

    return {
        "affectd": version(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "python": sys.version.split()[0],
    }


def _write_history(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _draw_curves(path: Path, rows: Sequence[Row], validation: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    for axes, names in ((left, ("loss", "val_loss")), (right, ("val_accuracy", "val_uar"))):
        for name in names:
            axes.plot(epochs, [row[name] for row in rows], label=name.replace("val_", f"{validation} "))
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=110, format="png")

"""The run, or the bundle, whose weights a new run begins with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from affectd_convert.errors import TrainingError
from affectd_convert.training.damaged import DAMAGED, first_sentence


def refuse_itself(run: Path, begin_with: Path | None) -> None:
    """Raise TrainingError when a run would begin with its own folder."""
    if begin_with is not None and run.resolve() == begin_with.resolve():
        raise TrainingError(f"{run}: cannot begin with itself; give the new run another folder")


def with_weights(model: Any, begin_with: Path | None) -> Any:
    """Return `model` the weights of the finished run `begin_with` if there is one. Raises TrainingError."""
    if begin_with is not None:
        finished = begin_with / "model.keras"
        if not finished.is_file():
            raise TrainingError(
                f"{finished}: is not there: that run is not finished; the command that began it goes on"
            )
        try:
            model.load_weights(finished)
        except DAMAGED as error:
            raise TrainingError(f"{finished}: does not fit this network: {first_sentence(error)}") from error
    return model


def is_bundle(folder: Path) -> bool:
    """Return whether `folder` is a bundle, not a training run."""
    return (folder / "manifest.json").is_file()


def record_of(folder: Path) -> Path:
    """Return the folder that holds config.json and the rest of the record, of a run or a bundle."""
    return folder / "training" if is_bundle(folder) else folder

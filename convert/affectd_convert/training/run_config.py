"""What a run was asked for, typed: everything in its config.json that decides the result, and the command typed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from affectd.errors import ModelError
from affectd.face.preprocess import FacePreprocessing
from affectd.voice.features import VoiceFeatures
from affectd_convert.errors import DataError
from affectd_convert.training.plan import Plan, Stage

FITTED = ("mean", "std")
"""Of the features: what the training clips say, not the command."""
NOT_RECORDED = "# a run of {epochs} epochs, seed {seed}, made by an older program, which did not record its command"


@dataclass(frozen=True, kw_only=True)
class DataUsed:
    """What a run was trained and validated on, in the words of the corpora's readers."""

    training: str
    validation: str
    left_out: tuple[str, ...] = ()
    """Why, a sentence each."""
    fold: int | str | None = None
    """Of voices: who is held out, as `speech.split` takes it."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run of one network."""

    plan: Plan
    task: str
    """'face' or 'voice'."""
    architecture: str
    labels: tuple[str, ...]
    inputs: FacePreprocessing | VoiceFeatures
    """How the network's input is made."""
    augmentation: Mapping[str, Any]
    data: DataUsed
    begins_with: Mapping[str, Any] | None = None
    """config.json of the run whose weights this one begins with."""
    taught: bool = False
    teachers: tuple[Mapping[str, Any], ...] = ()
    """Whose answers it learns, where that is not what it begins with: name and version of a bundle, or a run's
    config.json."""
    command: str = field(default="", compare=False)
    """As it was typed; "" where a program made the run, or one that is older than this record."""

    @classmethod
    def from_json(cls, record: Mapping[str, Any], where: str) -> RunConfig:
        """Read config.json. Raises DataError that names the file `where` when it is not that of a run."""
        try:
            face, data = record["task"] == "face", record["data"]
            training = data["training"]
            return cls(
                plan=_plan(record["plan"]),
                task=record["task"],
                architecture=record["architecture"],
                labels=tuple(record["labels"]),
                inputs=_inputs(record["preprocessing" if face else "features"], face=face),
                augmentation=record["augmentation"],
                data=DataUsed(
                    training=training if isinstance(training, str) else ", ".join(training),
                    validation=data["validation"],
                    left_out=tuple(data.get("left_out", ())),
                    fold=data.get("fold"),
                ),
                begins_with=record.get("begins_with"),
                taught=record.get("taught", False),
                teachers=_teachers(record),
                command=record.get("command", ""),
            )
        except (KeyError, TypeError, AttributeError, ValueError, ModelError) as error:
            raise DataError(f"{where}: not the record of a training run: {type(error).__name__}: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """Return what config.json holds, but for the command and what it was made with."""
        record = asdict(self)
        del record["command"], record["inputs"]
        record["preprocessing" if self.task == "face" else "features"] = self.inputs.to_manifest()
        # Through JSON and back, so that it compares with what was read.
        there: dict[str, Any] = json.loads(json.dumps(record))
        return there

    def asked(self) -> dict[str, Any]:
        """Return `to_json` without what is fitted on the data."""
        record = self.to_json()
        if "features" in record:
            record["features"] = {key: value for key, value in record["features"].items() if key not in FITTED}
        return record


def read_record(run: Path) -> dict[str, Any]:
    """Read a run's config.json as it stands. Raises DataError when it is none."""
    try:
        record = json.loads((run / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{run}: not a training run: {error}") from error
    if not isinstance(record, dict):
        raise DataError(f"{run}/config.json: not the record of a training run")
    return record


def read_config(run: Path) -> RunConfig:
    """Read a run's config.json. Raises DataError when it is none."""
    return RunConfig.from_json(read_record(run), f"{run}/config.json")


def is_run_of(run: Path, asked: RunConfig) -> bool:
    """Return whether `run` is the run that `asked` describes, what is fitted on the data aside. Raises DataError."""
    return not differences(read_config(run).asked(), asked.asked())


def commands_of(run: Path) -> list[str]:
    """Return the commands that made the run, those of the runs that led to it first. Raises DataError."""
    lines: list[str] = []
    record: Mapping[str, Any] | None = read_record(run)
    while record is not None:
        plan = record["plan"]
        epochs = sum(stage["epochs"] for stage in plan["stages"])
        lines.append(record.get("command") or NOT_RECORDED.format(epochs=epochs, seed=plan["seed"]))
        record = record.get("begins_with")
    return lines[::-1]


def differences(there: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Report of each setting in which the run that is there differs from the one asked for what it is; else nothing.

    Both are as config.json has them; what `asked` does not speak of at all is not compared. A setting that only
    one of them knows, because it is newer, and that is off (false, 0, null) is no difference.
    """
    settings = dict(_leaves({key: there[key] for key in asked if key in there}))
    wanted = dict(_leaves(asked))
    found = []
    for name in dict.fromkeys((*wanted, *settings)):
        if name not in settings and wanted[name]:
            found.append(f"{name} is not there, {wanted[name]} asked for")
        elif name not in wanted and settings[name]:
            found.append(f"{name} is {settings[name]} there, not asked for")
        elif name in settings and name in wanted and settings[name] != wanted[name]:
            found.append(f"{name} is {settings[name]} there, {wanted[name]} asked for")
    return found


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Return every setting in nested dictionaries and lists by its full name, such as plan.stages.0.size."""
    if not isinstance(value, (dict, list)):
        yield name, value
        return
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _leaves(inner, f"{name}.{key}" if name else str(key))


def _teachers(record: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    # Older runs had one.
    return tuple(record.get("teachers") or filter(None, [record.get("teacher")]))


def _plan(record: Mapping[str, Any]) -> Plan:
    return Plan(**{**record, "stages": tuple(Stage(**stage) for stage in record["stages"])})


def _inputs(record: Mapping[str, Any], *, face: bool) -> FacePreprocessing | VoiceFeatures:
    return FacePreprocessing.from_manifest(dict(record)) if face else VoiceFeatures.from_manifest(dict(record))

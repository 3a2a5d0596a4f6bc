"""The command lines that made a run and those that it began with, and whether one would make the same run again."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from affectd.face.preprocess import FacePreprocessing
from affectd.voice.features import VoiceFeatures
from affectd_convert.training import face as face_training
from affectd_convert.training import voice as voice_training
from affectd_convert.training.face_batches import FaceAugmentation
from affectd_convert.training.plan import Plan, Stage
from affectd_convert.training.run_folder import differences, read_config
from affectd_convert.training.sound_augment import SoundAugmentation
from affectd_convert.training.voice_batches import WindowAugmentation

STRANGER = "TEACHER"
"""What commands call a teacher that is none of the runs that led to its pupil."""


def commands_of(config: Mapping[str, Any], run: str, data: str) -> list[str]:
    """Return the commands that made the run with this config.json, those of the runs that led to it first.

    `run` and `data` are what the card calls their folders; earlier runs have the numbers of their records behind it.
    Behind each command stands a remark if it would not do the same today: settings that no option reaches were others
    then, or the run was stopped.
    """
    runs = [config]
    while (before := runs[0].get("begins_with")) is not None:
        runs.insert(0, before)
    names = [*(f"{run}-{number:02}" for number in range(1, len(runs))), run]
    return [
        _command(*made, data, _teacher_of(made[0], runs, names))
        for made in zip(runs, names, [None, *names[:-1]], strict=True)
    ]


def is_run_of(run: Path, asked: Mapping[str, Any]) -> bool:
    """Return whether `run` is the run that `face_config` or `voice_config` describes. Raises DataError if none."""
    there = read_config(run)
    if "features" in there:
        there["features"] = {k: v for k, v in there["features"].items() if k not in voice_training.FITTED}
    # As config.json has it: without tuples.
    return not differences(there, json.loads(json.dumps(asked)))


def _teacher_of(config: Mapping[str, Any], runs: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str | None:
    """Name the teacher of a run that did not begin with it; None: there is none. One of another lineage is STRANGER."""
    teacher = config.get("teacher")
    if teacher is None:
        return None
    return next((name for name, run in zip(names, runs, strict=True) if run == teacher), STRANGER)


def _command(config: Mapping[str, Any], run: str, begun_with: str | None, data: str, teacher: str | None) -> str:
    options = _face_options(config, teacher) if config["task"] == "face" else _voice_options(config)
    begin_with = "" if begun_with is None else f" --begin-with {begun_with}"
    remarks = []
    if teacher == STRANGER:
        remarks.append(f"{STRANGER} is a run that did not lead to this one; its commands are in a card of its own")
    if "stopped_after" in config:
        remarks.append(f"stopped after {config['stopped_after']} epochs, so it left no model.keras to begin with")
    if differing := _differing(config):
        remarks.append(f"today's differs in {', '.join(differing)}")
    command = f"affectd-convert train {config['task']} --data {data} --run {run} --seed {config['plan']['seed']}"
    return f"{command}{options}{begin_with}" + (f"  # {'; '.join(remarks)}" if remarks else "")


def _face_options(config: Mapping[str, Any], teacher: str | None) -> str:
    plan, how = config["plan"], config["augmentation"]
    stages = " ".join(f"{stage['size']}x{stage['epochs']}" for stage in plan["stages"])
    text = f" --stages {stages} --peak-rate {plan['peak_rate']:g} --augmentation {_strength(how):g}"
    text += f" --mixup {how['mixup']:g}" if how.get("mixup") else ""
    text += f" --sharpness {plan['sharpness']:g}" if plan.get("sharpness") else ""
    # Which engine and which precision are the defaults depends on the machine.
    text += f" --engine {_engine(plan)} --precision {plan['precision']}"
    slim = config["architecture"].endswith("slim")
    text += " --slim" if slim else ""
    if teacher is not None:
        return f"{text} --teacher {teacher}"
    # Slim runs older than the option were all taught.
    return text + (" --taught" if config.get("taught", slim) else "")


def _voice_options(config: Mapping[str, Any]) -> str:
    plan, fold = config["plan"], config["data"]["fold"]
    epochs = sum(stage["epochs"] for stage in plan["stages"])
    text = f" --epochs {epochs} --peak-rate {plan['peak_rate']:g}"
    text += "" if plan["precision"] == voice_training.PLAN.precision else f" --precision {plan['precision']}"
    return text + ("" if fold is None else f" --fold {fold}")


def _engine(plan: Mapping[str, Any]) -> str:
    # Runs older than the choice had Keras.
    return str(plan.get("engine", "keras"))


def _strength(augmentation: Mapping[str, Any]) -> float:
    return float(augmentation["rotation_deg"]) / FaceAugmentation().rotation_deg


def _differing(config: Mapping[str, Any]) -> list[str]:
    """Name the settings of a run that its command would not give it today."""
    face = config["task"] == "face"
    plan = _plan_today(config["plan"], face_training.PLAN if face else voice_training.PLAN)
    then: dict[str, Any] = {**config["plan"], "engine": _engine(config["plan"])}
    if face:
        how = config["augmentation"]
        then |= {**how, **config["preprocessing"]}
        moved = replace(FaceAugmentation().scaled(_strength(how)), mixup=how.get("mixup", 0.0))
        now = {**asdict(plan), **asdict(moved), **FacePreprocessing().to_manifest()}
    else:
        how = config["augmentation"]
        then |= {"renditions": how["renditions"], **how["sound"], **how["window"], **config["features"]}
        sound, window = asdict(SoundAugmentation()), asdict(WindowAugmentation())
        now = {
            **asdict(plan),
            "renditions": voice_training.RENDITIONS,
            **sound,
            **window,
            **VoiceFeatures().to_manifest(),
        }
        then, now = ({key: one[key] for key in one.keys() - set(voice_training.FITTED)} for one in (then, now))
    now = json.loads(json.dumps(now))
    return sorted(key for key in then.keys() | now.keys() if not _same(then.get(key), now.get(key)))


def _plan_today(plan: Mapping[str, Any], default: Plan) -> Plan:
    return replace(
        default,
        stages=tuple(Stage(**stage) for stage in plan["stages"]),
        engine=_engine(plan),
        **{key: plan[key] for key in ("seed", "precision", "peak_rate", "sharpness") if key in plan},
    )


def _same(then: Any, now: Any) -> bool:
    """Return whether two settings are the same; one that there was not is the same as one that does nothing."""
    if isinstance(then, float) and isinstance(now, float):
        return math.isclose(then, now, abs_tol=1e-9)
    return then == now or (not then and not now)

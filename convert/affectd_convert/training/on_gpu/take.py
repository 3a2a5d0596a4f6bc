"""From what came back of a GPU machine to the folder of a run, as `affectd-convert train` would have left it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from affectd.events import LABELS
from affectd_convert.architectures.catalogue import FACE
from affectd_convert.errors import TrainingError
from affectd_convert.training.on_gpu import parts
from affectd_convert.training.on_gpu.learnt import Weights, read_learnt
from affectd_convert.training.plan import Plan, Stage
from affectd_convert.training.run_config import DataUsed, RunConfig
from affectd_convert.training.run_folder import RunFolder


def take(out: Path, course: str, network: str, run: Path) -> Path:
    """Write the run folder of a network that learnt in `course`; return its model.keras.

    Raises TrainingError when the network is not there, or a part of it, or `run` holds another run.
    """
    learnt, said = read_learnt(out, course), parts.about(out, course)
    if network not in learnt:
        raise TrainingError(f"{out}: {course} has no {network}; it has {', '.join(learnt)}")
    folder = RunFolder(run, "PublicTest")
    folder.claim(config_of(said, network).to_json(), said["command"])
    folder.take_over(said["rows"][network], said["log"])
    return folder.finish(_model(network, learnt[network]))


def config_of(said: Mapping[str, Any], network: str) -> RunConfig:
    """Return the configuration of a network's run from what is said about its course."""
    taught_by = said.get("taught_by", ())
    teachers = tuple(config_of(one, name).to_json() for one in taught_by for name in one["networks"])
    plan, data = said["plan"], said["data"]
    return RunConfig(
        plan=Plan(**{**plan, "stages": tuple(Stage(**stage) for stage in plan["stages"])}),
        task="face",
        architecture=network,
        labels=LABELS,
        inputs=FACE[network].inputs,
        augmentation=said["augmentation"],
        data=DataUsed(**{**data, "left_out": tuple(data["left_out"])}),
        taught=bool(teachers),
        teachers=teachers,
        command=said["command"],
    )


def _model(network: str, weights: Weights) -> Any:
    """Return the Keras model. Raises TrainingError when the weights are not those of that network."""
    model = FACE[network].network()
    by_layer: dict[str, list[Any]] = {}
    for key in sorted(weights):
        by_layer.setdefault(key.partition(".")[0], []).append(weights[key].astype("float32"))
    try:
        for layer, values in zip((layer for layer in model.layers if layer.weights), by_layer.values(), strict=True):
            layer.set_weights(values)
    except ValueError as error:
        raise TrainingError(f"{network}: what came back does not fit this network: {error}") from error
    return model

"""Whether a custom model is fed as it was trained: it may do much better by another way to its input."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.face.preprocess import FacePreprocessing
from affectd.voice.features import VoiceFeatures
from affectd_convert.datasets.clip_windows import clip_windows, fit_statistics
from affectd_convert.evaluation.metrics import wilson_interval

FloatArray = NDArray[np.float32]

SAMPLES = 100
"""Training samples that the ways are tried on: their inputs of every way are in memory at once."""
_GREY: Sequence[Mapping[str, Any]] = (
    # A network that rescales inside, and the two ways of those that do not.
    {"mean": 0.0, "std": 1.0},
    {"mean": 0.0, "std": 255.0},
    {"mean": 127.5, "std": 127.5},
)
_COLOUR: Sequence[Mapping[str, Any]] = (
    *_GREY,
    # Those of ImageNet in PyTorch, and in Caffe and after it Keras's ResNet50 and VGG16.
    {"colour": "rgb", "mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)},
    {"colour": "bgr", "mean": (103.939, 116.779, 123.68), "std": 1.0},
)


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One way from samples to inputs."""

    lines: str
    """What the TOML would say for it."""
    inputs: FloatArray
    """(n, *input)."""


def ways_of_faces(written: FacePreprocessing, crops: Sequence[NDArray[np.uint8]]) -> list[Way]:
    """Return the inputs of crops as `written`, and then by every other way that networks are commonly trained with."""
    changes: list[Mapping[str, Any]]
    if written.wants_colour:
        changes = [*_COLOUR, {"colour": "rgb" if written.colour == "bgr" else "bgr"}]
    else:
        changes = [*_GREY, *({**scaling, "equalize": False} for scaling in _GREY if written.equalize)]
    others = {_lines(change): replace(written, **change) for change in changes}
    return [
        Way(lines, np.stack([one.prepare_still(crop) for crop in crops]))
        for lines, one in {"": written, **{k: v for k, v in others.items() if v != written}}.items()
    ]


def ways_of_clips(written: VoiceFeatures, clips: Sequence[NDArray[np.int16]]) -> list[Way]:
    """Return a window of each clip (samples,) int16 as `written`, and then without or with mean and deviation."""
    if written.mean:
        columns = len(written.mean)
        other, lines = ((0.0,) * columns, (1.0,) * columns), "normalize = false, and neither mean nor std"
    else:
        other, lines = fit_statistics(clips, written), "normalize = true"
    ways = {"": written, lines: replace(written, mean=other[0], std=other[1])}
    return [Way(name, np.stack([_middle(clip, features) for clip in clips])) for name, features in ways.items()]


def better_way(ways: Sequence[Way], truth: NDArray[np.int64], answers: NDArray[np.int64]) -> str:
    """Return in a clause by which other way the network does much better than by the first one; "" where by none.

    `answers` are the label numbers that it gives for the inputs of all ways, one way after the other. Much better: the
    95 % intervals of the shares that are right lie apart.
    """
    right = [int(np.sum(given == truth)) for given in np.split(answers, len(ways))]
    best = int(np.argmax(right))
    if wilson_interval(right[best], len(truth))[0] <= wilson_interval(right[0], len(truth))[1]:
        return ""
    return (
        f"of {len(truth)} training samples it has {right[0] / len(truth):.0%} right as the TOML feeds it, and "
        f"{right[best] / len(truth):.0%} with {ways[best].lines}"
    )


def _middle(clip: NDArray[np.int16], features: VoiceFeatures) -> FloatArray:
    windows = clip_windows(clip, features)
    return np.asarray(windows[len(windows) // 2])


def _lines(change: Mapping[str, Any]) -> str:
    """Return the lines of the TOML that make a change, in one."""
    inside = ": it scales its input itself" if (change.get("mean"), change.get("std")) == (0.0, 1.0) else ""
    return ", ".join(f"{key} = {_toml(value)}" for key, value in change.items()) + inside


def _toml(value: Any) -> str:
    if isinstance(value, bool | str):
        return json.dumps(value)
    return str(list(value) if isinstance(value, tuple) else value)

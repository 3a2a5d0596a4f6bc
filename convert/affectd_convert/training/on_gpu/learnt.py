"""What the networks of a course have learnt, as parts: their weights in the order and layout of Keras."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd_convert.errors import TrainingError
from affectd_convert.training.on_gpu import parts

Weights = Mapping[str, NDArray[Any]]
"""LAYER.NUMBER to an array, in the layout of a Keras layer's weights; sorted, they are in the model's order."""


def write_learnt(out: Path, course: str, learnt: Mapping[str, Weights], about: Mapping[str, Any]) -> None:
    """Write the weights of each network, by its name. Raises TrainingError."""
    content = io.BytesIO()
    arrays: dict[str, Any] = {
        f"{name}/{key}": array for name, weights in learnt.items() for key, array in weights.items()
    }
    np.savez(content, **arrays)
    parts.write_parts(out, course, content.getvalue(), about)


def read_learnt(out: Path, course: str) -> dict[str, dict[str, NDArray[Any]]]:
    """Return the weights of each network. Raises TrainingError when they are not there or not whole."""
    learnt: dict[str, dict[str, NDArray[Any]]] = {}
    try:
        with np.load(io.BytesIO(parts.read_parts(out, course)), allow_pickle=False) as arrays:
            for name in arrays:
                network, _, key = name.partition("/")
                learnt.setdefault(network, {})[key] = arrays[name]
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{out}/{course}.json: lists no weights of networks: {error}") from error
    return learnt

"""The proof that every network passes before it is believed: the manifest's shapes and the float parent's answers."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from affectd.errors import ModelError
from affectd.inference.accelerators.accelerator import Network
from affectd.inference.bundle import Bundle
from affectd.inference.golden import Golden, Parity

OPENING_SAMPLES = 8
"""Golden samples run when a model is opened: enough to see wrong answers, few enough for a slow box."""


def prove(
    bundle: Bundle, kind: str, golden: Golden, network: Network, *, on_sample: Callable[[], None] = lambda: None
) -> float:
    """Return the least milliseconds of an inference, for whatever else ran meanwhile only adds; `on_sample` is called
    after each of the golden samples.

    Raises ModelError unless the network has the manifest's shapes and types and the float parent's answers.
    """
    _check_tensors(bundle, kind, network)
    path, parent = bundle.folder / bundle.variant(kind).file, golden.logits[:OPENING_SAMPLES]
    logits, took = [], []
    try:
        for x in golden.inputs[:OPENING_SAMPLES]:
            began = time.perf_counter()
            logits.append(network(x))
            took.append(1000 * (time.perf_counter() - began))
            on_sample()
    except RuntimeError as error:
        raise ModelError(f"{path}: fails when it runs: {' '.join(str(error).split())}") from error
    if not np.isfinite(logits).all():
        raise ModelError(f"{path}: answers NaN or infinity on the golden samples; convert it again")
    if shortfall := Parity.of(np.stack(logits), parent).shortfall(kind):
        raise ModelError(f"{path}: wrong answers on the golden samples: {shortfall}")
    return min(took)


def _check_tensors(bundle: Bundle, kind: str, network: Network) -> None:
    variant = bundle.variant(kind)
    path, outputs = bundle.folder / variant.file, (1, len(bundle.outputs))
    if (network.input_shape, network.output_shape) != (bundle.input_shape, outputs):
        raise ModelError(
            f"{path}: takes {network.input_shape} and gives {network.output_shape}, "
            f"but the manifest says {bundle.input_shape} and {outputs}; convert it again"
        )
    if (network.input_type, network.output_type) != (variant.input, variant.output):
        raise ModelError(
            f"{path}: its tensors are {network.input_type} and {network.output_type}, "
            f"but the manifest says {variant.input} and {variant.output}; convert it again"
        )

"""A Keras model to its TFLite variants, each conversion in a bounded process of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectd.inference.manifest import KINDS
from affectd_convert.bounded import run_module
from affectd_convert.errors import ConversionError

MAX_SAMPLES = 500
"""Representative samples used for int8; more changes the ranges little and costs time."""


def quantize(
    model: Path,
    samples: NDArray[np.float32],
    out: Path,
    kinds: Sequence[str] = KINDS,
    *,
    memory_gb: float = 8.0,
    timeout_s: float = 1200.0,
) -> dict[str, Path]:
    """Convert the `.keras` file `model` to `out/<kind>.tflite` for each of `kinds`; give their paths.

    `samples` (n, *input) float32 are training inputs as the network sees them: their shape is the
    variants' input, and int8 takes its ranges from them. Raises ConversionError when a conversion
    fails, takes longer than `timeout_s` or holds more than `memory_gb` of memory.
    """
    if not model.is_file():
        raise ConversionError(f"{model}: not there; train a model first, or name its model.keras")
    if not len(samples) or not np.isfinite(samples).all():
        raise ConversionError("the representative samples are empty or hold NaN or infinity")
    out.mkdir(parents=True, exist_ok=True)
    paths = {kind: out / f"{kind}.tflite" for kind in kinds}
    chosen = np.random.default_rng(0).permutation(len(samples))[:MAX_SAMPLES]
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder, "samples.npy")
        np.save(inputs, samples[chosen].astype(np.float32))
        for kind, path in paths.items():
            print(f"{kind}: converting {model} ...", flush=True)
            run_module(
                "affectd_convert.convert_one",
                [kind, model, inputs, path],
                what=f"{model}: conversion to {kind}",
                memory_gb=memory_gb,
                timeout_s=timeout_s,
            )
    return paths

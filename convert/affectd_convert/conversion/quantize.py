"""A Keras model to its TFLite variants, each conversion in a bounded process of its own."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectd.inference.manifest import KINDS
from affectd_convert.conversion.bounded_process import Bounds, run_module
from affectd_convert.errors import ConversionError

_CONVERTING = {"convert_worker", "fused_lstm", "forward_norm", "float_model", "int8_ways"}
MAX_SAMPLES = 500
"""Representative samples used for int8; more changes the ranges little and costs time."""


def quantize(
    model: Path,
    samples: NDArray[np.float32],
    out: Path,
    kinds: Sequence[str] = KINDS,
    *,
    bounds: Bounds | None = None,
    floating: Sequence[str] = (),
) -> dict[str, Path]:
    """Convert `model` to `out/<kind>.tflite` for each of `kinds` not there yet; return their paths.

    `model` is a `.keras` file, or a SavedModel folder as `import_model` writes them. `samples`
    (n, *input) float32 are training inputs as the network sees them: their shape is the variants' input,
    and int8 takes its ranges from them. `floating` names layers that stay in float in the kind FITTED. Raises
    ConversionError when a conversion fails or passes its `bounds`, by default 8 GB and 20 minutes.
    """
    if not model.exists():
        raise ConversionError(f"{model}: not there; train a model first, or name its model.keras")
    if not len(samples) or not np.isfinite(samples).all():
        raise ConversionError("the representative samples are empty or hold NaN or infinity")
    if model.suffix == ".tflite":
        kind = model.suffixes[0][1:]
        print(f"{kind}: finished already, {model.name}", flush=True)
        return {kind: model}
    out.mkdir(parents=True, exist_ok=True)
    paths = {kind: out / f"{kind}.tflite" for kind in kinds}
    chosen = np.random.default_rng(0).permutation(len(samples))[:MAX_SAMPLES]
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder, "samples.npy")
        np.save(inputs, samples[chosen].astype(np.float32))
        for kind, path in paths.items():
            made_of, stamp = _digest(model, inputs, " ".join((kind, *floating))), path.with_suffix(".made-of")
            if path.exists() and stamp.exists() and stamp.read_text(encoding="ascii") == made_of:
                print(f"{kind}: already converted, {path}", flush=True)
                continue
            print(f"{kind}: converting {model} ...", flush=True)
            stamp.unlink(missing_ok=True)
            run_module(
                "affectd_convert.conversion.convert_worker",
                [kind, model, inputs, path, *floating],
                what=f"{model}: conversion to {kind}",
                bounds=bounds or Bounds(),
            )
            stamp.write_text(made_of, encoding="ascii")
    return paths


def _digest(model: Path, inputs: Path, kind: str) -> str:
    """Return what tells one conversion from another: the kind, the code that converts, the model, the samples."""
    digest = hashlib.sha256(kind.encode())
    code = (path for path in Path(__file__).parent.glob("*.py") if path.stem in _CONVERTING)
    content = sorted(path for path in model.rglob("*") if path.is_file()) if model.is_dir() else [model]
    for path in (*sorted(code), *content, inputs):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()

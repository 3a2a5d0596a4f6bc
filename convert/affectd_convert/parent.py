"""The float parent of the variants: a trained Keras model in float32."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.errors import AffectdError
from affectd_convert.bounded import run_module
from affectd_convert.errors import ConversionError


def load_parent(path: Path) -> Any:
    """Load a `.keras` file as a model that computes in float32 whatever precision it was trained in.

    Raises ConversionError when it cannot be read.
    """
    import keras

    try:
        model = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConversionError(f"{path}: not a Keras model that can be loaded: {reason}") from error
    text = model.to_json()
    for mixed in ("mixed_bfloat16", "mixed_float16"):
        text = text.replace(mixed, "float32")
    parent = keras.models.model_from_json(text)
    parent.set_weights(model.get_weights())
    return parent


def parent_logits(path: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the model's logits (n, labels) float32 for inputs (n, ...) float32.

    Runs in a process of its own, so that Keras's backend is not loaded into this one. Raises
    ConversionError when the model cannot be loaded or run.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder, "inputs.npy"), Path(folder, "logits.npy")
        np.save(given, inputs)
        run_module("affectd_convert.parent", [path, given, out], what=f"{path}: running the float parent")
        return np.asarray(np.load(out, allow_pickle=False), np.float32)


def main() -> int:
    """Run MODEL.keras on INPUTS.npy and write its logits to OUT.npy."""
    model, inputs, out = map(Path, sys.argv[1:])
    try:
        parent = load_parent(model)
    except AffectdError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    np.save(out, parent.predict(np.load(inputs, allow_pickle=False), batch_size=64, verbose=0))
    return 0


if __name__ == "__main__":
    sys.exit(main())

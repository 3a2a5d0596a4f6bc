"""The float parent of the variants: a trained Keras model, or a SavedModel, in float32."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd_convert.conversion.bounded_process import exit_code_of, run_module
from affectd_convert.errors import ConversionError

KERAS_MODEL = "model.keras"
SAVED_MODEL = "saved_model"
"""What a run's folder calls its finished model: of these two the one or the other."""
FINISHED = "finished.{kind}.tflite"
"""Or this, when it was brought as the only variant that there is of it."""


def parent_of(run: Path) -> Path:
    """Return the finished model of a run's folder. Raises ConversionError when there is none."""
    for model in (run / KERAS_MODEL, run / SAVED_MODEL, *run.glob(FINISHED.format(kind="*"))):
        if model.exists():
            return model
    raise ConversionError(f"{run / KERAS_MODEL}: not there; the run is not finished, start it again to go on")


def load_parent(path: Path) -> Any:
    """Load a `.keras` or `.h5` file as a model that computes in float32 whatever precision it was trained in.

    Raises ConversionError when it cannot be read.
    """
    import keras

    try:
        model = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        # Keras says what it was doing first, with the whole configuration, and the reason last.
        reason = str(error).strip().rpartition("\n")[2].removeprefix("Exception encountered: ")
        raise ConversionError(f"{path}: not a Keras model that can be loaded: {reason}") from error
    text = model.to_json()
    for mixed in ("mixed_bfloat16", "mixed_float16"):
        text = text.replace(mixed, "float32")
    parent = keras.models.model_from_json(text)
    parent.set_weights(model.get_weights())
    return parent


def parent_logits(path: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the model's logits (n, labels) float32 for inputs (n, ...) float32.

    Runs in a process of its own, so that Keras's backend is not loaded into this one. Raises
    ConversionError when the model cannot be loaded or run.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder, "inputs.npy"), Path(folder, "logits.npy")
        np.save(given, inputs)
        run_module(
            "affectd_convert.conversion.float_model", [path, given, out], what=f"{path}: running the float parent"
        )
        return np.asarray(np.load(out, allow_pickle=False), np.float32)


def run(model: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logits as `parent_logits` does, in this process. Raises ConversionError."""
    if model.suffix == ".tflite":
        return _reference_logits(model, inputs)
    if not model.is_dir():
        return np.asarray(load_parent(model).predict(inputs, batch_size=64, verbose=0), np.float32)
    import tensorflow as tf

    # As `import_model` writes them: one sample at a time.
    loaded = tf.saved_model.load(model)
    return np.concatenate([np.asarray(loaded.logits(sample[np.newaxis]), np.float32) for sample in inputs])


def _reference_logits(model: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logits of a `.tflite` by TensorFlow's plain kernels, against which the runtimes' are held."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(
        str(model), experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    takes, gives = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    (scale, zero), (out_scale, out_zero) = takes["quantization"], gives["quantization"]
    logits = []
    for x in inputs:
        stored = np.clip(np.rint(x / scale) + zero, -128, 127) if takes["dtype"] == np.int8 else x
        interpreter.reset_all_variables()
        interpreter.set_tensor(takes["index"], stored[np.newaxis].astype(takes["dtype"]))
        interpreter.invoke()
        y = interpreter.get_tensor(gives["index"])[0].astype(np.float32)
        logits.append((y - out_zero) * out_scale if gives["dtype"] == np.int8 else y)
    return np.asarray(logits, np.float32)


def main() -> int:
    """Run MODEL on INPUTS.npy and write its logits to OUT.npy."""
    model, inputs, out = map(Path, sys.argv[1:])
    return exit_code_of(lambda: np.save(out, run(model, np.load(inputs, allow_pickle=False))))


if __name__ == "__main__":
    sys.exit(main())

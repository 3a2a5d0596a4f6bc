"""Convert one Keras model or SavedModel to one `.tflite`; run by `quantize.py` as a process of its own.

python -m affectd_convert.conversion.convert_worker KIND MODEL SAMPLES.npy OUT.tflite [LAYER ...]

KIND may also be "int8-fitted": int8 whose ranges are fitted, the outputs called LAYER left in float.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from affectd_convert.conversion.bounded_process import exit_code_of
from affectd_convert.conversion.float_model import load_parent
from affectd_convert.conversion.forward_norm import fold_forward
from affectd_convert.conversion.fused_lstm import convertible, has_loop
from affectd_convert.conversion.int8_ways import fit_ranges, quantize_calibrated
from affectd_convert.errors import ConversionError

FITTED = "int8-fitted"


def convert(kind: str, model: Path, samples: Path, out: Path, floating: Sequence[str] = ()) -> None:
    """Write the variant `kind` of `model`; int8 is calibrated on samples (n, ...) float32.

    `model` is a Keras file, or a SavedModel folder as `import_model` writes them.
    """
    inputs = np.load(samples, allow_pickle=False)
    if model.is_dir():
        out.write_bytes(_converted(str(model), kind, inputs, floating))
        return
    shape = inputs.shape[1:]
    network = fold_forward(convertible(load_parent(model), shape, "int8" if kind == FITTED else kind), shape)
    with tempfile.TemporaryDirectory() as folder:
        _save(network, shape, folder)
        content = _converted(folder, kind, inputs, floating)
    if not has_loop(network):
        _check_lstm(content)
    out.write_bytes(content)


def _save(network: Any, input_shape: tuple[int, ...], folder: str) -> None:
    # Only the variables are tracked: Keras would trace the model once more, with an unknown batch.
    module = tf.Module()
    module.weights = [variable.value for variable in network.variables]
    function = tf.function(lambda x: network(x, training=False), autograph=False)
    signature = function.get_concrete_function(tf.TensorSpec((1, *input_shape), tf.float32, name="input"))
    module.function = function
    tf.saved_model.save(module, folder, signatures=signature)


def _converted(folder: str, kind: str, inputs: Any, floating: Sequence[str]) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    # Per-channel dense layers become FULLY_CONNECTED version 12, which tflite-runtime 2.14 cannot load.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind in {"int8", FITTED}:
        converter.representative_dataset = lambda: ([sample[np.newaxis]] for sample in inputs)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    if kind == FITTED:
        converter._experimental_calibrate_only = True
        return quantize_calibrated(fit_ranges(bytes(converter.convert()), inputs), floating)
    return bytes(converter.convert())


def _check_lstm(content: bytes) -> None:
    details = tf.lite.Interpreter(model_content=content)._get_ops_details()
    if "WHILE" in {operation["op_name"] for operation in details}:
        raise ConversionError("the converter left the LSTM as a loop; use TensorFlow 2.21")


def main() -> int:
    """Convert as the command line says."""
    kind, model, samples, out, *floating = sys.argv[1:]
    return exit_code_of(lambda: convert(kind, Path(model), Path(samples), Path(out), floating))


if __name__ == "__main__":
    sys.exit(main())

"""Convert one Keras model or SavedModel to one `.tflite`; run by `quantize.py` as a process of its own.

python -m affectd_convert.conversion.convert_worker KIND MODEL SAMPLES.npy OUT.tflite
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from affectd_convert.conversion.bounded_process import exit_code_of
from affectd_convert.conversion.float_model import load_parent
from affectd_convert.conversion.fused_lstm import convertible, has_loop
from affectd_convert.errors import ConversionError


def convert(kind: str, model: Path, samples: Path, out: Path) -> None:
    """Write the variant `kind` of `model`; int8 is calibrated on samples (n, ...) float32.

    `model` is a Keras file, or a SavedModel folder as `import_model` writes them.
    """
    inputs = np.load(samples, allow_pickle=False)
    if model.is_dir():
        out.write_bytes(_converted(str(model), kind, inputs))
        return
    network = convertible(load_parent(model), inputs.shape[1:], kind)
    with tempfile.TemporaryDirectory() as folder:
        _save(network, inputs.shape[1:], folder)
        content = _converted(folder, kind, inputs)
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


def _converted(folder: str, kind: str, inputs: Any) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    # Per-channel dense layers become FULLY_CONNECTED version 12, which tflite-runtime 2.14 cannot load.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "int8":
        converter.representative_dataset = lambda: ([sample[np.newaxis]] for sample in inputs)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def _check_lstm(content: bytes) -> None:
    details = tf.lite.Interpreter(model_content=content)._get_ops_details()
    if "WHILE" in {operation["op_name"] for operation in details}:
        raise ConversionError("the converter left the LSTM as a loop; use TensorFlow 2.21")


def main() -> int:
    """Convert as the command line says."""
    kind, *paths = sys.argv[1:]
    return exit_code_of(lambda: convert(kind, *map(Path, paths)))


if __name__ == "__main__":
    sys.exit(main())

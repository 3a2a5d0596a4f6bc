"""Quantizing a calibrated model to int8 otherwise than by the range of each layer's extremes. Imports TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.python.interpreter import OpResolverType
from tensorflow.lite.tools import flatbuffer_utils

FITTED_SAMPLES = 64
KEPT_VALUES = 1024
"""Of each layer and sample, drawn at random."""
SHARES: tuple[float, ...] = tuple(np.geomspace(1.0, 0.02, 40).tolist())
"""Of the extremes' range that are tried."""


def quantize_calibrated(calibrated: bytes, floating: Sequence[str] = ()) -> bytes:
    """Return the int8 model of a calibrated one; the layers whose outputs are called `floating` stay in float."""
    return bytes(
        mlir_quantize(
            calibrated,
            input_data_type=tf.int8,
            output_data_type=tf.int8,
            denylisted_nodes=set(floating) or None,
            # As in the plain conversion: tflite-runtime 2.14 loads no per-channel dense layers.
            disable_per_channel_for_dense_layers=True,
        )
    )


def fit_ranges(calibrated: bytes, inputs: NDArray[np.float32]) -> bytes:
    """Return the calibrated model whose input and every layer's output have the range of the least squared error.

    A few outliers stretch the range of the extremes, and with it the step of all other values; values beyond the
    fitted one are clipped (Nagel et al. 2021, arXiv 2106.08295, section 3.1).
    """
    values = _layer_values(calibrated, inputs[:FITTED_SAMPLES])
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(calibrated))
    for index, tensor in enumerate(model.subgraphs[0].tensors):
        extremes = tensor.quantization
        if index in values and extremes is not None and extremes.min is not None and len(extremes.min) == 1:
            share = _best_share(values[index], float(extremes.min[0]), float(extremes.max[0]))
            extremes.min, extremes.max = [float(extremes.min[0]) * share], [float(extremes.max[0]) * share]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _best_share(values: NDArray[np.float32], low: float, high: float) -> float:
    """Return the share of the range low..high that int8 rounds and clips `values` to with the least squared error."""
    errors = {}
    for share in SHARES:
        step = max((high - low) * share / 255, 1e-12)
        rounded = np.clip(np.rint(values / step) * step, low * share, high * share)
        errors[share] = float(np.square(rounded - values).sum())
    return float(min(errors, key=errors.__getitem__))


def _layer_values(calibrated: bytes, inputs: NDArray[np.float32]) -> dict[int, NDArray[np.float32]]:
    """Return some of the values of the input and of every layer's output, by the tensor's number."""
    interpreter = tf.lite.Interpreter(
        model_content=calibrated,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    rng, takes = np.random.default_rng(0), interpreter.get_input_details()[0]["index"]
    kinds: dict[int, Any] = {int(each["index"]): each["dtype"] for each in interpreter.get_tensor_details()}
    outputs = [int(i) for each in interpreter._get_ops_details() for i in each["outputs"]]
    floats = [index for index in (takes, *outputs) if kinds.get(index) is np.float32]
    kept: dict[int, list[NDArray[np.float32]]] = {index: [] for index in floats}
    for x in inputs:
        interpreter.reset_all_variables()
        interpreter.set_tensor(takes, x[np.newaxis])
        interpreter.invoke()
        for index, parts in kept.items():
            values = interpreter.get_tensor(index).ravel()
            parts.append(values if values.size <= KEPT_VALUES else rng.choice(values, KEPT_VALUES))
    return {index: np.concatenate(parts) for index, parts in kept.items()}

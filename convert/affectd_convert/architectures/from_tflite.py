"""The weights of a shipped bundle, put back into the network they came from, so that training can go on.

A converter folds batch normalization into the convolutions. Unfolding needs the statistics of what flows through
the network: they are taken anew from samples, and the function stays the same (Ioffe & Szegedy 2015, the formula
of inference, solved for scale and offset).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd_convert.errors import DataError, TrainingError

FloatArray = NDArray[np.float32]
FLOAT = ("float32", "float16")
"""Kinds of variant whose weights are as they were trained."""
FUSED = ("int8",)
"""The kind whose LSTM is one operation: float16 has it unrolled. Its weights are rounded to 255 steps."""
KERNEL_OPERATORS = {"CONV_2D", "FULLY_CONNECTED"}
LSTM_OPERATOR = "UNIDIRECTIONAL_SEQUENCE_LSTM"
FILTER_NORM = 2.0**0.5
"""Mean length of a layer's filters, as He et al. 2015 begin with; batch normalization leaves it free."""


def restore(model: Any, bundle: Path, samples: FloatArray, kinds: Sequence[str] = FLOAT) -> Any:
    """Return the Keras `model` the weights of the first of `kinds` that the bundle has.

    `model` is made of convolutions without bias, each with its BatchNormalization, of Dense and, in the kinds FUSED,
    of LSTM; `samples` (n, *input) are typical inputs, some hundred of them.
    Raises DataError when the bundle has no such variant, TrainingError when it is of another network, or of one whose
    batch normalization does not follow a convolution at once: its folding forwards is not undone here.
    """
    import keras

    normalizations = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    if not all(layer.name.endswith("_bn") for layer in normalizations):
        raise TrainingError(
            f"{bundle}: this network cannot be taken out of a bundle; begin with the run it was made of"
        )
    shipped = _weights(_variant(bundle, kinds))
    layers = [layer for layer in model.layers if layer.weights and not layer.name.endswith("_bn")]
    if [_size(layer.get_weights()[0]) for layer in layers] != [_size(weights[0]) for weights in shipped]:
        raise TrainingError(f"{bundle}: holds another network than the one to be trained")
    for layer, (stored, *others) in zip(layers, shipped, strict=True):
        # A convolution over time is one over pictures of height 1.
        kernel = stored.reshape(layer.get_weights()[0].shape)
        if layer.use_bias:
            layer.set_weights([kernel, *others])
            continue
        over = tuple(range(kernel.ndim - 1))
        scale = FILTER_NORM / float(np.sqrt(np.square(kernel).sum(axis=over)).mean())
        layer.set_weights([kernel * scale])
        seen = np.asarray(keras.Model(model.input, layer.output)(samples, training=False), np.float32)
        mean, variance = seen.mean(axis=over), seen.var(axis=over)
        normalization = model.get_layer(f"{layer.name}_bn")
        gamma = np.sqrt(variance + normalization.epsilon) / scale
        normalization.set_weights([gamma, others[0] + mean / scale, mean, variance])
    return model


def _variant(bundle: Path, kinds: Sequence[str]) -> Path:
    try:
        variants = json.loads((bundle / "manifest.json").read_text())["variants"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{bundle}: not a bundle: {error}") from error
    for kind in kinds:
        if kind in variants:
            return bundle / str(variants[kind]["file"])
    raise DataError(f"{bundle}: has no variant {' or '.join(kinds)} to train on from; it has {', '.join(variants)}")


def _weights(model: Path) -> list[list[FloatArray]]:
    """Return the weights of every layer in the order they run, laid out as Keras does: kernel first, bias last."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(
        str(model),
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    # float16 weights are spread to float32 by operators of their own, which run first.
    interpreter.invoke()
    scales = {tensor["index"]: tensor["quantization_parameters"] for tensor in interpreter.get_tensor_details()}

    def value(index: int) -> FloatArray:
        """Return a constant, whole numbers brought back to what they stand for; weights have their zero at 0."""
        stored = np.asarray(interpreter.get_tensor(index))
        if not np.issubdtype(stored.dtype, np.integer):
            return np.asarray(stored, np.float32)
        steps = scales[index]
        shape = [1] * stored.ndim
        shape[steps["quantized_dimension"]] = -1
        return np.asarray(stored * np.reshape(steps["scales"], shape), np.float32)

    layers = []
    for operator in interpreter._get_ops_details():
        inputs = list(operator["inputs"])
        if operator["op_name"] in KERNEL_OPERATORS:
            # TFLite: out, height, width, in; and out, in.
            kernel = np.moveaxis(value(inputs[1]), 0, -1)
            # The converter leaves out a bias of zeros.
            bias = value(inputs[2]) if inputs[2] >= 0 else np.zeros(kernel.shape[-1], np.float32)
            layers.append([kernel, bias])
        elif operator["op_name"] == LSTM_OPERATOR:
            # Input, forget, cell and output gate one after the other, as in Keras; there (in, gates * units).
            kernels, recurrent, biases = ([value(i) for i in inputs[at : at + 4]] for at in (1, 5, 12))
            layers.append([np.concatenate(kernels).T, np.concatenate(recurrent).T, np.concatenate(biases)])
    return layers


def _size(kernel: FloatArray) -> tuple[int, ...]:
    """Return a kernel's shape without sides of 1."""
    return tuple(side for side in kernel.shape if side > 1)

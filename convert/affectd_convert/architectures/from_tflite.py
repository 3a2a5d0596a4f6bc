"""The weights of a shipped bundle, put back into the network they came from, so that training can go on.

A converter folds batch normalization into the convolutions. Unfolding needs the statistics of what flows through
the network: they are taken anew from samples, and the function stays the same (Ioffe & Szegedy 2015, the formula
of inference, solved for scale and offset).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd_convert.errors import DataError, TrainingError

FloatArray = NDArray[np.float32]
KERNEL_OPERATORS = {"CONV_2D", "FULLY_CONNECTED"}
FILTER_NORM = 2.0**0.5
"""Mean length of a layer's filters, as He et al. 2015 begin with; batch normalization leaves it free."""


def restore(model: Any, bundle: Path, samples: FloatArray) -> Any:
    """Return the Keras `model` the weights of the bundle's float variant.

    `model` is a plain stack of Conv2D without bias, each with its BatchNormalization, and Dense; `samples`
    (n, height, width, channels) are typical inputs, some hundred of them.
    Raises DataError when the bundle has no float variant, TrainingError when it is of another network.
    """
    import keras

    shipped = _kernels(_float_variant(bundle))
    layers = [layer for layer in model.layers if layer.weights and not layer.name.endswith("_bn")]
    if [_shape(layer) for layer in layers] != [kernel.shape for kernel, _ in shipped]:
        raise TrainingError(f"{bundle}: holds another network than the one to be trained")
    for layer, (kernel, bias) in zip(layers, shipped, strict=True):
        if layer.use_bias:
            layer.set_weights([kernel, bias])
            continue
        scale = FILTER_NORM / float(np.sqrt(np.square(kernel).sum(axis=(0, 1, 2))).mean())
        layer.set_weights([kernel * scale])
        seen = np.asarray(keras.Model(model.input, layer.output)(samples, training=False))
        mean, variance = seen.mean(axis=(0, 1, 2)), seen.var(axis=(0, 1, 2))
        normalization = model.get_layer(f"{layer.name}_bn")
        gamma = np.sqrt(variance + normalization.epsilon) / scale
        normalization.set_weights([gamma, bias + mean / scale, mean, variance])
    return model


def _float_variant(bundle: Path) -> Path:
    try:
        variants = json.loads((bundle / "manifest.json").read_text())["variants"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{bundle}: not a bundle: {error}") from error
    for kind in ("float32", "float16"):
        if kind in variants:
            return bundle / str(variants[kind]["file"])
    raise DataError(f"{bundle}: has no float variant to train on from; it has {', '.join(variants)}")


def _kernels(model: Path) -> list[tuple[FloatArray, FloatArray]]:
    """Return kernel, laid out as Keras does, and bias (out,) of every layer in the order they run."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(
        str(model),
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    # float16 weights are spread to float32 by operators of their own, which run first.
    interpreter.invoke()
    kernels = []
    for operator in interpreter._get_ops_details():
        if operator["op_name"] in KERNEL_OPERATORS:
            _, kernel_index, bias_index = operator["inputs"]
            # TFLite: out, height, width, in; and out, in.
            kernel = np.moveaxis(interpreter.get_tensor(kernel_index), 0, -1)
            # The converter leaves out a bias of zeros.
            bias = interpreter.get_tensor(bias_index) if bias_index >= 0 else np.zeros(kernel.shape[-1], np.float32)
            kernels.append((np.asarray(kernel), np.asarray(bias)))
    return kernels


def _shape(layer: Any) -> tuple[int, ...]:
    return tuple(layer.get_weights()[0].shape)

"""A Keras file as the Keras model that the toolchain converts: any batch, one size, logits in affectd's order."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from affectd_convert.conversion.float_model import KERAS_MODEL, load_parent
from affectd_convert.conversion.import_saved_model import import_saved_model
from affectd_convert.conversion.import_wanted import NO_SOFTMAX, Layout, Wanted
from affectd_convert.errors import ConversionError


def import_keras(path: Path, out: Path, wanted: Wanted) -> Layout:
    """Write the `.keras` or `.h5` file as `out`/model.keras; return what becomes of its input.

    One of Keras 2 that Keras 3 cannot read goes by way of tf-keras, where that is installed, to `out`/saved_model.
    Raises ConversionError when it cannot be loaded or does not fit.
    """
    try:
        network = load_parent(path)
    except ConversionError as error:
        return _by_keras_2(path, out, wanted, error)
    wanted.check_one(path, len(network.inputs), len(network.outputs))
    batch, *sizes = network.inputs[0].shape
    wanted.check_batch(path, batch)
    layout = wanted.layout(path, sizes)
    wanted.check_labels(path, network.outputs[0].shape)
    logits = _without_softmax(path, network) if wanted.output == "softmax" else network.outputs[0]
    network = keras.Model(network.inputs[0], _ordered(logits, wanted.order), name=network.name)
    _fixed(network, layout).save(out / KERAS_MODEL)
    return layout


def _fixed(network: Any, layout: Layout) -> Any:
    """Return a copy for a batch of any size, and an input of the one size that the box makes."""
    copy = keras.models.clone_model(network, input_tensors=keras.Input(layout.shape))
    copy.set_weights(network.get_weights())
    if not layout.changes:
        return copy
    box = x = keras.Input(layout.box)
    if layout.turned:
        x = keras.layers.Permute([axis + 1 for axis in layout.permutation])(x)
    return keras.Model(box, copy(keras.layers.Reshape(layout.shape)(x)), name=network.name)


def _ordered(logits: Any, order: Sequence[int]) -> Any:
    if list(order) == sorted(order):
        return logits
    # A product with a permutation is exact, and one of the few operations that every runtime has.
    permutation = np.eye(len(order), dtype=np.float32)[:, list(order)]
    into_order = keras.layers.Dense(len(order), use_bias=False, name="affectd_order")
    ordered = into_order(logits)
    into_order.set_weights([permutation])
    return ordered


def _without_softmax(path: Path, network: Any) -> Any:
    """Return the tensor of logits of a model that ends in a softmax, as a layer or as an activation."""
    last = network
    while isinstance(last, keras.Model):
        parent, last = last, last.outputs[0]._keras_history.operation
    if isinstance(last, keras.layers.Softmax) and parent is network:
        return last.input
    if getattr(last, "activation", None) is not keras.activations.softmax:
        raise ConversionError(f"{path}: {NO_SOFTMAX}")
    last.activation = keras.activations.linear
    return network.outputs[0]


def _by_keras_2(path: Path, out: Path, wanted: Wanted, error: ConversionError) -> Layout:
    """Import what Keras 3 cannot read by way of tf-keras. Raises ConversionError as `import_keras`."""
    if not _is_hdf5(path):
        raise error
    if importlib.util.find_spec("tf_keras") is None:
        raise ConversionError(
            f"{error}; if Keras 2 wrote it, install that (--no-deps, for it asks for another TensorFlow): "
            f"{sys.executable} -m pip install --no-deps tf-keras=={tf.__version__}"
        ) from error
    import tf_keras

    try:
        network = tf_keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as other:
        raise error from other
    with tempfile.TemporaryDirectory() as folder:
        shape = (1, *wanted.layout(path, network.input_shape[1:]).shape)
        call = tf.function(lambda x: network(x, training=False), autograph=False)
        signature = call.get_concrete_function(tf.TensorSpec(shape, tf.float32, name="input"))
        tf.saved_model.save(network, folder, signatures=signature)
        return import_saved_model(Path(folder), out, wanted, name=path)


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"

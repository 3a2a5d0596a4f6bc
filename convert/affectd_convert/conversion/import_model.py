"""Bring a model of one's own into the one form that the toolchain converts; run as a process of its own.

python -m affectd_convert.conversion.import_model MODEL OUT JSON

MODEL is a `.keras` or `.h5` file or a SavedModel folder. What is written under the folder OUT takes
float32 (n, *input) and gives logits in affectd's order of labels: `model.keras`, or for a SavedModel
the folder `saved_model`, which takes one sample at a time. JSON is {"input": [48, 48, 1], "output":
"logits" or "softmax", "order": [...]}: `order[k]` is the model's own number for affectd's label k.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from affectd_convert.conversion.bounded_process import exit_code_of
from affectd_convert.conversion.float_model import KERAS_MODEL, SAVED_MODEL, load_parent
from affectd_convert.errors import ConversionError

NO_SOFTMAX = "does not end in a softmax that can be taken off; train it to give logits and set output = 'logits'"


def import_keras(model: Path, out: Path, shape: Sequence[int], output: str, order: Sequence[int]) -> None:
    """Write `model` as `out`/model.keras. Raises ConversionError when it is no model of this shape."""
    network = load_parent(model)
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ConversionError(
            f"{model}: has {len(network.inputs)} inputs and {len(network.outputs)} outputs; affectd runs one of each"
        )
    _check_shape(model, network.inputs[0].shape[1:], shape)
    _check_labels(model, network.outputs[0].shape, order)
    logits = _without_softmax(model, network) if output == "softmax" else network.outputs[0]
    if list(order) != sorted(order):
        # A product with a permutation is exact, and one of the few operations that every runtime has.
        permutation = np.eye(len(order), dtype=np.float32)[:, list(order)]
        into_order = keras.layers.Dense(len(order), use_bias=False, name="affectd_order")
        logits = into_order(logits)
        into_order.set_weights([permutation])
    network = keras.Model(network.inputs[0], logits, name=network.name)
    # A batch of any size, and a picture of the one size that the box makes.
    fixed = keras.models.clone_model(network, input_tensors=keras.Input(tuple(shape)))
    fixed.set_weights(network.get_weights())
    fixed.save(out / KERAS_MODEL)


def import_saved_model(model: Path, out: Path, shape: Sequence[int], output: str, order: Sequence[int]) -> None:
    """Write the SavedModel `model` as `out`/saved_model, for a batch of one. Raises ConversionError as above."""
    loaded, signature = _load_saved_model(model)
    inputs, outputs = signature.structured_input_signature[1], signature.structured_outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise ConversionError(f"{model}: has {len(inputs)} inputs and {len(outputs)} outputs; affectd runs one of each")
    (name, wanted), (answer, given) = next(iter(inputs.items())), next(iter(outputs.items()))
    if wanted.dtype != tf.float32:
        raise ConversionError(f"{model}: takes {wanted.dtype.name}; affectd gives float32")
    _check_shape(model, wanted.shape[1:], shape)
    _check_labels(model, given.shape, order)
    one = tf.TensorSpec((1, *shape), tf.float32, name="input")
    concrete = tf.function(lambda x: signature(**{name: x})[answer]).get_concrete_function(one)
    function = _pruned_of_softmax(model, concrete) if output == "softmax" else concrete
    module = tf.Module()
    module.source = loaded
    module.logits = tf.function(lambda x: tf.gather(_first(function(x)), list(order), axis=1), autograph=False)
    tf.saved_model.save(module, str(out / SAVED_MODEL), signatures=module.logits.get_concrete_function(one))


def _load_saved_model(model: Path) -> tuple[Any, Any]:
    """Return a SavedModel and its signature serving_default."""
    try:
        loaded = tf.saved_model.load(model)
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConversionError(f"{model}: not a SavedModel that can be loaded: {reason}") from error
    if "serving_default" not in loaded.signatures:
        there = ", ".join(loaded.signatures) or "none"
        raise ConversionError(f"{model}: has no signature serving_default (it has {there}); export it with one")
    return loaded, loaded.signatures["serving_default"]


def _without_softmax(model: Path, network: Any) -> Any:
    """Return the tensor of logits of a Keras model that ends in a softmax, as a layer or as an activation."""
    last = network
    while isinstance(last, keras.Model):
        parent, last = last, last.outputs[0]._keras_history.operation
    if isinstance(last, keras.layers.Softmax) and parent is network:
        return last.input
    if getattr(last, "activation", None) is not keras.activations.softmax:
        raise ConversionError(f"{model}: {NO_SOFTMAX}")
    last.activation = keras.activations.linear
    return network.outputs[0]


def _pruned_of_softmax(model: Path, concrete: Any) -> Any:
    """Return the part of a frozen function that ends before its last softmax."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(concrete)
    last = frozen.outputs[0].op
    while last.type == "Identity":
        last = last.inputs[0].op
    if last.type != "Softmax":
        raise ConversionError(f"{model}: {NO_SOFTMAX}")
    return frozen.prune(frozen.inputs, last.inputs[0])


def _first(result: Any) -> Any:
    return result[0] if isinstance(result, list | tuple) else result


def _check_shape(model: Path, takes: Sequence[int | None], gives: Sequence[int]) -> None:
    if len(takes) != len(gives) or any(a is not None and a != b for a, b in zip(takes, gives, strict=True)):
        raise ConversionError(
            f"{model}: takes {_shown(takes)}, but the box would give it {_shown(gives)}; set the size, or "
            "train it for the shape that [preprocessing] or [features] lead to"
        )


def _check_labels(model: Path, output: Sequence[int | None], order: Sequence[int]) -> None:
    if len(output) != 2 or output[1] != len(order):
        raise ConversionError(f"{model}: gives {_shown(output)} for {len(order)} labels; expected (any, {len(order)})")


def _shown(shape: Sequence[int | None]) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"


def main() -> int:
    """Import as the command line says."""
    model, out = map(Path, sys.argv[1:3])
    how = json.loads(sys.argv[3])
    read = import_saved_model if model.is_dir() else import_keras
    return exit_code_of(lambda: read(model, out, how["input"], how["output"], how["order"]))


if __name__ == "__main__":
    sys.exit(main())

"""A SavedModel folder as the SavedModel that the toolchain converts: one sample in, logits in affectd's order out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from affectd_convert.conversion.float_model import SAVED_MODEL
from affectd_convert.conversion.import_wanted import NO_SOFTMAX, Layout, Wanted
from affectd_convert.errors import ConversionError


def import_saved_model(path: Path, out: Path, wanted: Wanted, *, name: Path | None = None) -> Layout:
    """Write the SavedModel `path` as `out`/saved_model; return what becomes of its input.

    `name` stands in sentences for `path`. Raises ConversionError when it cannot be loaded or does not fit.
    """
    name = name or path
    loaded, signature = _load(path, name)
    inputs, outputs = signature.structured_input_signature[1], signature.structured_outputs
    wanted.check_one(name, len(inputs), len(outputs))
    (argument, takes), (answer, gives) = next(iter(inputs.items())), next(iter(outputs.items()))
    wanted.check_input_type(name, takes.dtype.name)
    batch, *sizes = takes.shape.as_list()
    wanted.check_batch(name, batch)
    layout = wanted.layout(name, sizes)
    wanted.check_labels(name, gives.shape.as_list())
    one = tf.TensorSpec((1, *wanted.input), tf.float32, name="input")
    concrete = tf.function(lambda x: signature(**{argument: as_model_takes(x, layout)})[answer])
    concrete = concrete.get_concrete_function(one)
    save_logits(out, wanted, _pruned_of_softmax(name, concrete) if wanted.output == "softmax" else concrete, loaded)
    return layout


def save_logits(out: Path, wanted: Wanted, function: Callable[[Any], Any], source: Any = None) -> None:
    """Write `function` of (1, *wanted.input) as `out`/saved_model, its outputs in affectd's order.

    `source` holds the variables of the function.
    """
    one = tf.TensorSpec((1, *wanted.input), tf.float32, name="input")
    module = tf.Module()
    module.source = source
    module.logits = tf.function(lambda x: _ordered(_first(function(x)), wanted.order), autograph=False)
    tf.saved_model.save(module, str(out / SAVED_MODEL), signatures=module.logits.get_concrete_function(one))


def _load(path: Path, name: Path) -> tuple[Any, Any]:
    """Return a SavedModel and its signature serving_default."""
    try:
        loaded = tf.saved_model.load(path)
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConversionError(f"{name}: not a SavedModel that can be loaded: {reason}") from error
    if "serving_default" not in loaded.signatures:
        there = ", ".join(loaded.signatures) or "none"
        raise ConversionError(f"{name}: has no signature serving_default (it has {there}); export it with one")
    return loaded, loaded.signatures["serving_default"]


def as_model_takes(x: Any, layout: Layout) -> Any:
    """Return the box's input, with its batch of one, as the model takes it."""
    x = tf.transpose(x, [0, *(axis + 1 for axis in layout.permutation)]) if layout.turned else x
    return tf.reshape(x, (1, *layout.shape)) if layout.shape != tuple(x.shape[1:]) else x


def _pruned_of_softmax(name: Path, concrete: Any) -> Any:
    """Return the part of a frozen function that ends before its last softmax."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(concrete)
    last = frozen.outputs[0].op
    while last.type == "Identity":
        last = last.inputs[0].op
    if last.type != "Softmax":
        raise ConversionError(f"{name}: {NO_SOFTMAX}")
    return frozen.prune(frozen.inputs, last.inputs[0])


def _ordered(logits: Any, order: tuple[int, ...]) -> Any:
    return logits if list(order) == sorted(order) else tf.gather(logits, order, axis=1)


def _first(result: Any) -> Any:
    return result[0] if isinstance(result, list | tuple) else result

"""A Keras model whose recurrent layers the TFLite converter can take: fused, unrolled, or a loop where that is fine.

Keras 3 lowers a recurrent layer to a WHILE loop, which the converter cannot make int8: it dies of SIGSEGV. It fuses a
function that carries the attribute `api_implements = lstm_*` and the signature of Keras 2's `standard_lstm`: that is
what the clone of each LSTM calls here, alone or in a Bidirectional, with the same weights. The fused operation keeps
its state in variable tensors, which GPU delegates and LiteRT's CompiledModel refuse: in float16, the variant for GPUs,
an LSTM is unrolled, one set of plain operations a step. A GRU or a simple RNN has no fused operation: it is unrolled in
int8 and float16 and stays a loop in float32 and dynamic. Imports TensorFlow: only for the process that converts.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from affectd_convert.conversion.same_answers import TOLERANCE, difference
from affectd_convert.errors import ConversionError

RECURRENT = (keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN)


def convertible(model: Any, input_shape: tuple[int, ...], kind: str) -> Any:
    """Return a copy of a float32 Keras model with input (1, *input_shape), made for the variant `kind`.

    Raises ConversionError when a recurrent layer is stateful, or when the copy's outputs differ from the model's.
    """

    def clone(layer: Any) -> Any:
        if isinstance(layer, keras.layers.InputLayer):
            # Those of models within the model keep their shape.
            own = input_shape if any(layer is one for one in model.layers) else layer.batch_shape[1:]
            return keras.layers.InputLayer(batch_shape=(1, *own), name=layer.name)
        if isinstance(layer, keras.layers.Bidirectional) and isinstance(layer.forward_layer, RECURRENT):
            ways = {"layer": layer.forward_layer, "backward_layer": layer.backward_layer}
            return keras.layers.Bidirectional(
                **{way: _recurrent(one, kind) for way, one in ways.items()},
                merge_mode=layer.merge_mode,
                name=layer.name,
            )
        if isinstance(layer, RECURRENT):
            return _recurrent(layer, kind)
        return type(layer).from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone, recursive=True)
    copy.set_weights(model.get_weights())
    error = difference(copy, model, input_shape)
    if not error <= TOLERANCE:
        raise ConversionError(f"the copy for conversion differs from {model.name} by {error:.2g}, at most {TOLERANCE}")
    return copy


def has_loop(model: Any) -> bool:
    """Return whether a layer of a `convertible` model stays a loop."""
    loops = (layer for layer in model._flatten_layers() if isinstance(layer, RECURRENT))
    return any(not isinstance(layer, FusedLSTM) and not layer.unroll for layer in loops)


def _recurrent(layer: Any, kind: str) -> Any:
    """Return a recurrent layer, without its weights, in the form that suits the variant `kind`."""
    if layer.stateful:
        raise ConversionError(
            f"layer {layer.name}: stateful, but the box gives every window on its own; train with stateful = False"
        )
    config = layer.get_config()
    if isinstance(layer, keras.layers.LSTM) and kind != "float16" and _fusible(layer):
        return FusedLSTM.from_config(config)
    return type(layer).from_config({**config, "unroll": kind in {"int8", "float16"}})


def _fusible(layer: Any) -> bool:
    activations = (layer.activation.__name__, layer.recurrent_activation.__name__)
    return activations == ("tanh", "sigmoid") and bool(layer.use_bias) and not layer.return_state


@keras.saving.register_keras_serializable("affectd")
class FusedLSTM(keras.layers.LSTM):  # type: ignore[misc]
    """An LSTM over a batch of one, from a state of zeros, in the form that the converter fuses."""

    def call(self, sequences: Any, initial_state: Any = None, **_: Any) -> Any:  # noqa: ARG002 - build() wants it
        """Return the last output (1, units), or all (1, steps, units) with `return_sequences`."""
        # The fused operation only goes forwards; a slice backwards also runs in int8.
        sequences = sequences[:, ::-1] if self.go_backwards else sequences
        zeros = tf.zeros((1, self.units))
        weights = (self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias)
        last, outputs, *_ = standard_lstm(sequences, zeros, zeros, *map(tf.convert_to_tensor, weights))
        return outputs if self.return_sequences else last


def _lstm(  # noqa: PLR0917 - the converter knows the arguments by their position
    inputs: Any, hidden: Any, carry: Any, kernel: Any, recurrent: Any, bias: Any
) -> tuple[Any, ...]:
    """Hochreiter & Schmidhuber's LSTM with Keras's gate order: input, forget, cell, output."""
    steps = inputs.shape[1]

    def step(i: Any, hidden: Any, carry: Any, outputs: Any) -> tuple[Any, ...]:
        gates = inputs[:, i] @ kernel + hidden @ recurrent + bias
        enter, forget, cell, leave = tf.split(gates, 4, axis=1)
        carry = tf.sigmoid(forget) * carry + tf.sigmoid(enter) * tf.tanh(cell)
        hidden = tf.sigmoid(leave) * tf.tanh(carry)
        return i + 1, hidden, carry, outputs.write(i, hidden)

    outputs = tf.TensorArray(tf.float32, steps, element_shape=hidden.shape)
    start = (0, hidden, carry, outputs)
    _, hidden, carry, outputs = tf.while_loop(lambda i, *_: i < steps, step, start)
    # The last value is Keras 2's note of the device it ran on: part of the signature.
    return hidden, tf.transpose(outputs.stack(), (1, 0, 2)), hidden, carry, tf.constant(1.0)


standard_lstm = tf.function(
    _lstm,
    autograph=False,
    experimental_attributes={
        "api_implements": "lstm_affectd",
        "api_preferred_device": "CPU",
        "time_major": False,
        "go_backwards": False,
    },
)

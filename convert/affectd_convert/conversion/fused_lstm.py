"""A Keras model whose LSTM layers the TFLite converter can take: one fused operation each, or unrolled.

Keras 3 lowers an LSTM to a WHILE loop, which the converter cannot make int8. The converter fuses a
function that carries the attribute `api_implements = lstm_*` and the signature of Keras 2's
`standard_lstm`: that is what the clone of each LSTM calls here, with the same weights. The fused
operation keeps its state in variable tensors, which GPU delegates and LiteRT's CompiledModel refuse:
for them an LSTM is unrolled, one set of plain operations a step. Imports TensorFlow: only for the
process that converts.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from affectd_convert.errors import ConversionError

TOLERANCE = 1e-4


def convertible(model: Any, input_shape: tuple[int, ...], *, unroll: bool = False) -> Any:
    """Return a copy of a float32 Keras model with input (1, *input_shape) and LSTM layers fusible or unrolled.

    Raises ConversionError when an LSTM has options that the fused operation lacks, or when the copy's
    outputs differ from the model's by more than 1e-4.
    """

    def clone(layer: Any) -> Any:
        if isinstance(layer, keras.layers.InputLayer):
            return keras.layers.InputLayer(batch_shape=(1, *input_shape), name=layer.name)
        if isinstance(layer, keras.layers.LSTM) and unroll:
            return keras.layers.LSTM.from_config({**layer.get_config(), "unroll": True})
        if isinstance(layer, keras.layers.LSTM):
            _check(layer)
            return FusedLSTM.from_config(layer.get_config())
        return type(layer).from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    x = np.random.default_rng(0).standard_normal((4, 1, *input_shape)).astype(np.float32)
    error = max(float(np.abs(np.asarray(copy(one)) - np.asarray(model(one))).max()) for one in x)
    if not error <= TOLERANCE:
        raise ConversionError(f"the copy for conversion differs from {model.name} by {error:.2g}, at most {TOLERANCE}")
    return copy


class FusedLSTM(keras.layers.LSTM):  # type: ignore[misc]
    """An LSTM over a batch of one, from a state of zeros, in the form that the converter fuses."""

    def call(self, sequences: Any, initial_state: Any = None, **_: Any) -> Any:  # noqa: ARG002 - build() wants it
        """Return the last output (1, units), or all (1, steps, units) with `return_sequences`."""
        # The fused operation only goes forwards; a slice backwards also runs in int8.
        sequences = sequences[:, ::-1] if self.go_backwards else sequences
        zeros = tf.zeros((1, self.units))
        weights = (self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias)
        last, outputs, *_ = _standard_lstm(sequences, zeros, zeros, *map(tf.convert_to_tensor, weights))
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


_standard_lstm = tf.function(
    _lstm,
    autograph=False,
    experimental_attributes={
        "api_implements": "lstm_affectd",
        "api_preferred_device": "CPU",
        "time_major": False,
        "go_backwards": False,
    },
)


def _check(layer: Any) -> None:
    activations = (layer.activation.__name__, layer.recurrent_activation.__name__)
    odd = [name for name in ("stateful", "return_state") if getattr(layer, name)]
    if activations != ("tanh", "sigmoid") or not layer.use_bias or odd:
        raise ConversionError(
            f"layer {layer.name}: the fused LSTM has tanh and sigmoid, a bias, and neither stateful "
            "nor return_state; train the network so"
        )

"""ONNX's LSTM and GRU over one sequence, from a state of zeros."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from affectd_convert.conversion.fused_lstm import standard_lstm
from affectd_convert.conversion.onnx_values import Array, Node, Value

_USUAL = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}


def recurrent(node: Node) -> list[Value]:
    """Return Y (steps, directions, 1, units) and the last state(s) (directions, 1, units) each."""
    _check(node)
    x = node.value().plain()
    steps, batch, columns = (int(size) for size in x.shape)
    if batch != 1:
        raise node.unsupported(f"over {batch} sequences at a time")
    x = tf.reshape(x, (1, steps, columns))
    weights = [node.constant(1, "weights"), node.constant(2, "weights"), _biases(node)]
    direction = _direction(node)
    backwards = [direction == "reverse"] if direction != "bidirectional" else [False, True]
    over: Any = _lstm if node.kind == "LSTM" else _gru
    found = [over(node, x, *(each[number] for each in weights), back) for number, back in enumerate(backwards)]
    outputs = tf.concat([tf.reshape(y, (steps, 1, 1, -1)) for y, *_ in found], axis=1)
    states = zip(*(last for _, *last in found), strict=True)
    return [Value(outputs), *(Value(tf.concat([tf.reshape(s, (1, 1, -1)) for s in state], axis=0)) for state in states)]


def _lstm(  # noqa: PLR0917
    node: Node, x: Any, weights: Array, recurrent_weights: Array, biases: Array, backwards: bool
) -> Sequence[Any]:
    """Return (1, steps, units), then the last hidden and cell state, by the function that the converter fuses."""
    del node
    units = recurrent_weights.shape[1]
    # ONNX's gates are input, output, forget, cell; Keras's input, forget, cell, output.
    order = np.concatenate([np.arange(gate * units, (gate + 1) * units) for gate in (0, 2, 3, 1)])
    zeros = tf.zeros((1, units))
    kernels = [tf.constant(each[order].T) for each in (weights, recurrent_weights)]
    bias = tf.constant((biases[: 4 * units] + biases[4 * units :])[order])
    _, y, hidden, carry, _ = standard_lstm(x[:, ::-1] if backwards else x, zeros, zeros, *kernels, bias)
    return (y[:, ::-1] if backwards else y), hidden, carry


def _gru(  # noqa: PLR0917
    node: Node, x: Any, weights: Array, recurrent_weights: Array, biases: Array, backwards: bool
) -> Sequence[Any]:
    """Return (1, steps, units), then the last state; every step in plain operations, which int8 has a form of."""
    units, steps = recurrent_weights.shape[1], int(x.shape[1])
    of_input, of_state = biases[: 3 * units], biases[3 * units :]
    after = bool(node.attributes.get("linear_before_reset", 0))
    projected = tf.matmul(x[0], weights.T) + of_input
    state, outputs = tf.zeros((1, units)), [None] * steps
    for step in reversed(range(steps)) if backwards else range(steps):
        update, reset, new = tf.split(projected[step : step + 1], 3, axis=1)
        if after:
            from_update, from_reset, from_new = tf.split(tf.matmul(state, recurrent_weights.T) + of_state, 3, axis=1)
        else:
            gates = tf.matmul(state, recurrent_weights[: 2 * units].T) + of_state[: 2 * units]
            from_update, from_reset = tf.split(gates, 2, axis=1)
        update, reset = tf.sigmoid(update + from_update), tf.sigmoid(reset + from_reset)
        if not after:
            from_new = tf.matmul(reset * state, recurrent_weights[2 * units :].T) + of_state[2 * units :]
        new = tf.tanh(new + (reset * from_new if after else from_new))
        state = (1 - update) * new + update * state
        outputs[step] = state
    return tf.stack(outputs, axis=1), state


def _biases(node: Node) -> Array:
    """Return the biases (directions, 2 * gates * units), zeros where there are none."""
    recurrent_weights = node.constant(2, "weights")
    directions, rows, _ = recurrent_weights.shape
    return node.constant(3, "biases") if node.has(3) else np.zeros((directions, 2 * rows), np.float32)


def _direction(node: Node) -> str:
    return bytes(node.attributes.get("direction", b"forward")).decode()


def _check(node: Node) -> None:
    """Raise ConversionError when the network wants more than the plain layer of Keras and PyTorch."""
    if node.has(4):
        raise node.unsupported("with sequences of several lengths")
    for number in (5, 6):
        if node.has(number) and np.any(node.constant(number, "first states")):
            raise node.unsupported("that does not begin with a state of zeros")
    usual = _USUAL[node.kind] * (2 if _direction(node) == "bidirectional" else 1)
    activations = [bytes(name).decode() for name in node.attributes.get("activations", [])]
    if activations not in ([], usual) or {"clip", "layout"} & {k for k, v in node.attributes.items() if v}:
        raise node.unsupported(f"with {', '.join(activations) or 'clip or layout'}")
    if node.has(7):
        raise node.unsupported("with peepholes")

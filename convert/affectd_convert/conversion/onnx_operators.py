"""ONNX's operations in TensorFlow's, by name; those over windows, sequences and shapes stand in files of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from affectd_convert.conversion.onnx_recurrent import recurrent
from affectd_convert.conversion.onnx_shapes import (
    concat,
    expand,
    flatten,
    gather,
    pad,
    reshape,
    shape,
    slices,
    split,
    squeeze,
    tile,
    transpose,
    unsqueeze,
)
from affectd_convert.conversion.onnx_values import Node, Operand, Value, aligned
from affectd_convert.conversion.onnx_windows import convolution, global_pooling, pooling, resizing

Operation = Callable[[Node], Operand | list[Value]]


def _each(function: Callable[..., Any]) -> Operation:
    """Make an operation of a function of one tensor, whatever the order of its axes."""

    def operation(node: Node) -> Value:
        x = node.value()
        return Value(function(x.tensor), x.channels_last)

    return operation


def _between(function: Callable[[Any, Any], Any]) -> Operation:
    """Make an operation of a function of two tensors that are broadcast, applied from left to right."""

    def operation(node: Node) -> Value:
        tensors, last = aligned([node.operand(number) for number in range(len(node.inputs))])
        result = tensors[0]
        for tensor in tensors[1:]:
            result = function(result, tensor)
        return Value(result, last)

    return operation


def _reduced(function: Callable[..., Any]) -> Operation:
    """Make an operation of a function over axes."""

    def operation(node: Node) -> Value:
        x, keep = node.value(), bool(node.attributes.get("keepdims", 1))
        axes = [number % x.rank for number in node.numbers("axes", 1) or range(x.rank)]
        spatial = set(axes) <= set(range(2, x.rank))
        if x.channels_last and (keep or spatial):
            stored = [x.axis(number) for number in axes]
            reduced = function(x.tensor, axis=stored, keepdims=keep)
            # Without height and width, the channels are axis 1 again.
            return Value(reduced, channels_last=x.rank - (0 if keep else len(axes)) > 2)
        return Value(function(x.plain(), axis=axes, keepdims=keep))

    return operation


def _along(function: Callable[..., Any]) -> Operation:
    """Make an operation of a function along one axis that keeps the shape."""

    def operation(node: Node) -> Value:
        x = node.value()
        default = -1 if node.opset >= 13 else 1
        return Value(function(x.tensor, axis=x.axis(int(node.attributes.get("axis", default)))), x.channels_last)

    return operation


def _clip(node: Node) -> Value:
    x = node.value()
    low, high = (
        node.attributes.get(name, float(node.constant(number, "bounds")) if node.has(number) else None)
        for number, name in enumerate(("min", "max"), start=1)
    )
    tensor = x.tensor
    if low == 0 and high == 6:
        return Value(tf.nn.relu6(tensor), x.channels_last)
    if low == 0:
        tensor, low = tf.nn.relu(tensor), None
    tensor = tensor if low is None else tf.maximum(tensor, np.float32(low))
    return Value(tensor if high is None else tf.minimum(tensor, np.float32(high)), x.channels_last)


def _leaky(node: Node) -> Value:
    x = node.value()
    return Value(tf.nn.leaky_relu(x.tensor, float(node.attributes.get("alpha", 0.01))), x.channels_last)


def _prelu(node: Node) -> Value:
    (x, slope), last = aligned([node.value(), node.constant(1, "slopes")])
    return Value(tf.nn.relu(x) - slope * tf.nn.relu(-x), last)


def _elu(node: Node) -> Value:
    x, alpha = node.value(), float(node.attributes.get("alpha", 1.0))
    if alpha != 1.0:
        raise node.unsupported(f"with alpha {alpha:g}")
    return Value(tf.nn.elu(x.tensor), x.channels_last)


def _hard_sigmoid(node: Node) -> Value:
    x, alpha, beta = node.value(), node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        # The form that the TFLite converter knows.
        return Value(tf.nn.relu6(x.tensor + 3.0) * np.float32(1 / 6), x.channels_last)
    return Value(tf.minimum(tf.nn.relu(x.tensor * np.float32(alpha) + np.float32(beta)), 1.0), x.channels_last)


def _gelu(node: Node) -> Value:
    x, approximate = node.value(), node.attributes.get("approximate", b"none")
    return Value(tf.nn.gelu(x.tensor, approximate=approximate == b"tanh"), x.channels_last)


def _batch_normalization(node: Node) -> Value:
    x = node.value()
    scale, offset, mean, variance = (node.constant(number, "statistics") for number in range(1, 5))
    factor = scale / np.sqrt(variance + np.float32(node.attributes.get("epsilon", 1e-5)))
    (tensor, factors, offsets), last = aligned(
        [x, *(each.reshape(1, -1, *[1] * (x.rank - 2)) for each in (factor, offset - mean * factor))]
    )
    return Value(tensor * factors + offsets, last)


def _layer_normalization(node: Node) -> Value:
    x = node.value()
    tensor, axes = x.plain(), list(range(int(node.attributes.get("axis", -1)) % x.rank, x.rank))
    y = _normalized(tensor, axes, node) * node.constant(1, "a scale")
    return Value(y + node.constant(2, "an offset") if node.has(2) else y)


def _instance_normalization(node: Node) -> Value:
    x = node.value()
    tensor = x.last()
    y = _normalized(tensor, list(range(1, x.rank - 1)), node)
    return Value(y * node.constant(1, "a scale") + node.constant(2, "an offset"), channels_last=True)


def _normalized(tensor: Any, axes: list[int], node: Node) -> Any:
    away = tensor - tf.reduce_mean(tensor, axis=axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(away), axis=axes, keepdims=True)
    return away * tf.math.rsqrt(variance + np.float32(node.attributes.get("epsilon", 1e-5)))


def _gemm(node: Node) -> Value:
    x, weights = node.value().plain(), node.operand(1)
    x = tf.transpose(x) if node.attributes.get("transA", 0) else x
    if isinstance(weights, Value):
        weights = weights.plain()
        y = tf.matmul(x, weights, transpose_b=bool(node.attributes.get("transB", 0)))
    else:
        y = tf.matmul(x, weights.T if node.attributes.get("transB", 0) else weights)
    alpha, beta = (np.float32(node.attributes.get(name, 1.0)) for name in ("alpha", "beta"))
    y = y if alpha == 1 else y * alpha
    if not node.has(2):
        return Value(y)
    offset = node.operand(2)
    return Value(y + (offset.plain() if isinstance(offset, Value) else offset) * beta)


def _matmul(node: Node) -> Value:
    left, right = node.operand(0), node.operand(1)
    a, b = (each.plain() if isinstance(each, Value) else each for each in (left, right))
    if not isinstance(right, Value) and b.ndim == 2 and len(a.shape) != 2:
        # One dense layer over all rows, which int8 has a form of.
        rows = tf.matmul(tf.reshape(a, (-1, b.shape[0])), b)
        return Value(tf.reshape(rows, (*a.shape[:-1], b.shape[1])))
    return Value(tf.matmul(a, b))


def _cast(node: Node) -> Value:
    from onnx import helper

    x, dtype = node.value(), helper.tensor_dtype_to_np_dtype(int(node.attributes["to"]))
    # Half precision is the variants' business: the float model computes in float32.
    return Value(tf.cast(x.tensor, np.float32 if dtype in (np.float16, np.float64) else dtype), x.channels_last)


def _where(node: Node) -> Value:
    (which, yes, no), last = aligned([node.operand(number) for number in range(3)])
    return Value(tf.where(which, yes, no), last)


def _same(node: Node) -> Value:
    return node.value()


def _mean(node: Node) -> Value:
    total = _between(tf.add)(node)
    assert isinstance(total, Value)
    return Value(total.tensor / np.float32(len(node.inputs)), total.channels_last)


def _norm(order: int) -> Callable[..., Any]:
    return lambda x, axis, keepdims: tf.norm(x, ord=order, axis=axis, keepdims=keepdims)


OPERATIONS: Mapping[str, Operation] = {
    **{
        kind: _each(function)
        for kind, function in {
            "Abs": tf.abs,
            "Ceil": tf.math.ceil,
            "Cos": tf.cos,
            "Erf": tf.math.erf,
            "Exp": tf.exp,
            "Floor": tf.floor,
            "HardSwish": lambda x: x * (tf.nn.relu6(x + 3.0) * np.float32(1 / 6)),
            "Log": tf.math.log,
            "Mish": lambda x: x * tf.tanh(tf.math.softplus(x)),
            "Neg": tf.negative,
            "Not": tf.logical_not,
            "Reciprocal": lambda x: 1.0 / x,
            "Relu": tf.nn.relu,
            "Selu": tf.nn.selu,
            "Sigmoid": tf.sigmoid,
            "Sign": tf.sign,
            "Sin": tf.sin,
            "Softplus": tf.math.softplus,
            "Softsign": tf.nn.softsign,
            "Sqrt": tf.sqrt,
            "Swish": tf.nn.silu,
            "Tanh": tf.tanh,
        }.items()
    },
    **{
        kind: _between(function)
        for kind, function in {
            "Add": tf.add,
            "And": tf.logical_and,
            "Div": tf.divide,
            "Equal": tf.equal,
            "Greater": tf.greater,
            "Less": tf.less,
            "Max": tf.maximum,
            "Min": tf.minimum,
            "Mul": tf.multiply,
            "Or": tf.logical_or,
            "Pow": tf.pow,
            "Sub": tf.subtract,
            "Sum": tf.add,
        }.items()
    },
    **{
        kind: _reduced(function)
        for kind, function in {
            "ReduceL1": _norm(1),
            "ReduceL2": _norm(2),
            "ReduceMax": tf.reduce_max,
            "ReduceMean": tf.reduce_mean,
            "ReduceMin": tf.reduce_min,
            "ReduceProd": tf.reduce_prod,
            "ReduceSum": tf.reduce_sum,
            "ReduceSumSquare": lambda x, axis, keepdims: tf.reduce_sum(tf.square(x), axis, keepdims),
        }.items()
    },
    "AveragePool": pooling,
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": concat,
    "Conv": convolution,
    "Dropout": _same,
    "Elu": _elu,
    "Expand": expand,
    "Flatten": flatten,
    "GRU": recurrent,
    "Gather": gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": global_pooling,
    "GlobalMaxPool": global_pooling,
    "HardSigmoid": _hard_sigmoid,
    "Identity": _same,
    "InstanceNormalization": _instance_normalization,
    "LSTM": recurrent,
    "LayerNormalization": _layer_normalization,
    "LeakyRelu": _leaky,
    "LogSoftmax": _along(tf.nn.log_softmax),
    "MatMul": _matmul,
    "MaxPool": pooling,
    "Mean": _mean,
    "PRelu": _prelu,
    "Pad": pad,
    "Reshape": reshape,
    "Resize": resizing,
    "Shape": shape,
    "Slice": slices,
    "Softmax": _along(tf.nn.softmax),
    "Split": split,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
    "Upsample": resizing,
    "Where": _where,
}

"""ONNX's operations in TensorFlow's, by name; those over windows and sequences stand in files of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from affectd_convert.conversion.onnx_recurrent import recurrent
from affectd_convert.conversion.onnx_values import Node, Operand, Value, aligned, turned
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


def _reshape(node: Node) -> Value:
    x, sizes = node.value().plain(), [int(size) for size in node.constant(1, "sizes")]
    if not node.attributes.get("allowzero", 0):
        sizes = [int(x.shape[axis]) if size == 0 else size for axis, size in enumerate(sizes)]
    return Value(tf.reshape(x, sizes))


def _flatten(node: Node) -> Value:
    x = node.value().plain()
    axis = int(node.attributes.get("axis", 1)) % (len(x.shape) + 1)
    return Value(tf.reshape(x, (int(np.prod(x.shape[:axis])), -1)))


def _squeeze(node: Node) -> Value:
    x = node.value().plain()
    axes = node.numbers("axes", 1)
    return Value(tf.squeeze(x, None if axes is None else [axis % len(x.shape) for axis in axes]))


def _unsqueeze(node: Node) -> Value:
    x, axes = node.value().plain(), node.numbers("axes", 1) or []
    rank = len(x.shape) + len(axes)
    sizes = [int(size) for size in x.shape]
    for axis in sorted(axis % rank for axis in axes):
        sizes.insert(axis, 1)
    return Value(tf.reshape(x, sizes))


def _transpose(node: Node) -> Value:
    x = node.value()
    order = node.numbers("perm", 1, list(reversed(range(x.rank)))) or []
    return Value(turned(x.tensor, [x.axis(axis) for axis in order]))


def _concat(node: Node) -> Value:
    operands = [node.operand(number) for number in range(len(node.inputs))]
    like = next(each for each in operands if isinstance(each, Value))
    if not like.channels_last:
        like = next((each for each in operands if isinstance(each, Value) and each.channels_last), like)
    values = [each if isinstance(each, Value) else Value(tf.constant(each)) for each in operands]
    tensors = [each.last() if like.channels_last else each.plain() for each in values]
    return Value(tf.concat(tensors, like.axis(int(node.attributes["axis"]))), like.channels_last)


def _split(node: Node) -> list[Value]:
    x = node.value()
    axis = x.axis(int(node.attributes.get("axis", 0)))
    sizes, count = node.numbers("split", 1), int(node.attributes.get("num_outputs", node.outputs))
    if sizes is None:
        whole = int(x.tensor.shape[axis])
        each = -(-whole // count)
        sizes = [min(each, whole - begin) for begin in range(0, whole, each)]
    return [Value(part, x.channels_last) for part in tf.split(x.tensor, sizes, axis)]


def _slice(node: Node) -> Value:
    x = node.value()
    starts, ends = node.numbers("starts", 1) or [], node.numbers("ends", 2) or []
    axes = node.numbers("axes", 3, range(len(starts))) or []
    steps = node.numbers("steps", 4, [1] * len(starts)) or []
    parts = [slice(None)] * x.rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = int(x.tensor.shape[x.axis(axis)])
        parts[x.axis(axis)] = slice(*_within(slice(start, end, step).indices(size)))
    return Value(x.tensor[tuple(parts)], x.channels_last)


def _within(indices: tuple[int, int, int]) -> tuple[int, int | None, int]:
    start, end, step = indices
    return start, None if end < 0 else end, step


def _gather(node: Node) -> Value:
    x, indices = node.value().plain(), node.constant(1, "indices")
    axis = int(node.attributes.get("axis", 0)) % len(x.shape)
    size = int(x.shape[axis])
    return Value(tf.gather(x, np.asarray(indices, np.int32) % size, axis=axis))


def _expand(node: Node) -> Value:
    x, sizes = node.value().plain(), node.constant(1, "sizes")
    return Value(tf.broadcast_to(x, np.broadcast_shapes(tuple(int(s) for s in x.shape), tuple(map(int, sizes)))))


def _tile(node: Node) -> Value:
    return Value(tf.tile(node.value().plain(), [int(count) for count in node.constant(1, "counts")]))


def _pad(node: Node) -> Value:
    x, pads = node.value(), node.numbers("pads", 1) or []
    axes = node.numbers("axes", 3, range(x.rank)) or []
    mode = bytes(node.attributes.get("mode", b"constant")).decode()
    if mode not in ("constant", "reflect") or min(pads) < 0:
        raise node.unsupported(f"of mode {mode}" if min(pads) >= 0 else "that cuts off")
    stored = [(0, 0)] * x.rank
    for number, axis in enumerate(axes):
        stored[x.axis(axis)] = (pads[number], pads[number + len(axes)])
    value = float(node.constant(2, "a value")) if node.has(2) else float(node.attributes.get("value", 0.0))
    return Value(tf.pad(x.tensor, stored, mode.upper(), constant_values=value), x.channels_last)


def _cast(node: Node) -> Value:
    from onnx import helper

    x, dtype = node.value(), helper.tensor_dtype_to_np_dtype(int(node.attributes["to"]))
    # Half precision is the variants' business: the float model computes in float32.
    return Value(tf.cast(x.tensor, np.float32 if dtype in (np.float16, np.float64) else dtype), x.channels_last)


def _shape(node: Node) -> Operand:
    sizes = node.value().shape
    return np.array(sizes[node.attributes.get("start", 0) : node.attributes.get("end", len(sizes))], np.int64)


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
    "Concat": _concat,
    "Conv": convolution,
    "Dropout": _same,
    "Elu": _elu,
    "Expand": _expand,
    "Flatten": _flatten,
    "GRU": recurrent,
    "Gather": _gather,
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
    "Pad": _pad,
    "Reshape": _reshape,
    "Resize": resizing,
    "Shape": _shape,
    "Slice": _slice,
    "Softmax": _along(tf.nn.softmax),
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Upsample": resizing,
    "Where": _where,
}

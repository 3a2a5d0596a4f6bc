"""ONNX operations that move numbers about and compute none of them."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from affectd_convert.conversion.onnx_values import Node, Operand, Value, turned


def reshape(node: Node) -> Value:
    """Lay the numbers out anew."""
    x, sizes = node.value().plain(), [int(size) for size in node.constant(1, "sizes")]
    if not node.attributes.get("allowzero", 0):
        sizes = [int(x.shape[axis]) if size == 0 else size for axis, size in enumerate(sizes)]
    return Value(tf.reshape(x, sizes))


def flatten(node: Node) -> Value:
    """Make two axes of all."""
    x = node.value().plain()
    axis = int(node.attributes.get("axis", 1))
    return Value(tf.reshape(x, (int(np.prod(x.shape[:axis])), -1)))


def squeeze(node: Node) -> Value:
    """Leave axes of one out."""
    x = node.value().plain()
    axes = node.numbers("axes", 1)
    return Value(tf.squeeze(x, None if axes is None else [axis % len(x.shape) for axis in axes]))


def unsqueeze(node: Node) -> Value:
    """Add axes of one."""
    x, axes = node.value().plain(), node.numbers("axes", 1) or []
    rank = len(x.shape) + len(axes)
    sizes = [int(size) for size in x.shape]
    for axis in sorted(axis % rank for axis in axes):
        sizes.insert(axis, 1)
    return Value(tf.reshape(x, sizes))


def transpose(node: Node) -> Value:
    """Change the order of the axes."""
    x = node.value()
    order = node.numbers("perm", 1, list(reversed(range(x.rank)))) or []
    return Value(turned(x.tensor, [x.axis(axis) for axis in order]))


def concat(node: Node) -> Value:
    """Put tensors behind each other."""
    operands = [node.operand(number) for number in range(len(node.inputs))]
    like = max((each for each in operands if isinstance(each, Value)), key=lambda each: each.channels_last)
    values = [each if isinstance(each, Value) else Value(tf.constant(each)) for each in operands]
    tensors = [each.last() if like.channels_last else each.plain() for each in values]
    return Value(tf.concat(tensors, like.axis(int(node.attributes["axis"]))), like.channels_last)


def split(node: Node) -> list[Value]:
    """Cut a tensor along an axis."""
    x = node.value()
    axis = x.axis(int(node.attributes.get("axis", 0)))
    sizes, count = node.numbers("split", 1), int(node.attributes.get("num_outputs", node.outputs))
    if sizes is None:
        whole = int(x.tensor.shape[axis])
        each = -(-whole // count)
        sizes = [min(each, whole - begin) for begin in range(0, whole, each)]
    return [Value(part, x.channels_last) for part in tf.split(x.tensor, sizes, axis)]


def slices(node: Node) -> Value:
    """Take a range along each of some axes."""
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


def gather(node: Node) -> Value:
    """Take entries along an axis by their known numbers."""
    x, indices = node.value().plain(), node.constant(1, "indices")
    axis = int(node.attributes.get("axis", 0)) % len(x.shape)
    size = int(x.shape[axis])
    return Value(tf.gather(x, np.asarray(indices, np.int32) % size, axis=axis))


def expand(node: Node) -> Value:
    """Repeat along axes of one."""
    x, sizes = node.value().plain(), node.constant(1, "sizes")
    return Value(tf.broadcast_to(x, np.broadcast_shapes(tuple(int(s) for s in x.shape), tuple(map(int, sizes)))))


def tile(node: Node) -> Value:
    """Repeat along axes."""
    return Value(tf.tile(node.value().plain(), [int(count) for count in node.constant(1, "counts")]))


def pad(node: Node) -> Value:
    """Add zeros, another number or the mirrored border."""
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


def shape(node: Node) -> Operand:
    """Return the sizes, which are known before the network runs."""
    sizes = node.value().shape
    return np.array(sizes[node.attributes.get("start", 0) : node.attributes.get("end", len(sizes))], np.int64)

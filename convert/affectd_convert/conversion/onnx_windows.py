"""ONNX operations that slide a window over a picture or a sequence: convolution, pooling, resizing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from affectd_convert.conversion.onnx_values import Array, Node, Value

Pads = list[tuple[int, int]]
"""Before and after, of height and width."""
_NOT_NEGATIVE = {"Relu", "Relu6", "Sigmoid"}


def convolution(node: Node) -> Value:
    """Convolve (batch, channels, steps) or (batch, channels, height, width); also depthwise and in groups."""
    weights = node.constant(1, "weights")
    if weights.ndim not in (3, 4):
        raise node.unsupported(f"over {weights.ndim - 2} axes")
    x, flat = _as_picture(node)
    weights = weights[:, :, np.newaxis] if flat else weights
    strides, dilations = _sizes(node, "strides", flat), _sizes(node, "dilations", flat)
    pads = _pads(node, x, [(k - 1) * d + 1 for k, d in zip(weights.shape[2:], dilations, strict=True)], strides, flat)
    if pads == _same(x, [(k - 1) * d + 1 for k, d in zip(weights.shape[2:], dilations, strict=True)], strides):
        padding = "SAME"
    else:
        x, padding = _padded(x, pads), "VALID"
    y = _convolved(x, weights, int(node.attributes.get("group", 1)), strides, dilations, padding)
    if node.has(2):
        y = tf.nn.bias_add(y, node.constant(2, "a bias"))
    return _as_before(y, flat)


def _convolved(  # noqa: PLR0917
    x: Any, weights: Array, groups: int, strides: Sequence[int], dilations: Sequence[int], padding: str
) -> Any:
    channels = int(x.shape[-1])
    if groups == 1:
        return tf.nn.conv2d(x, weights.transpose(2, 3, 1, 0), strides, padding, dilations=dilations)
    if groups == channels and strides[0] == strides[1]:
        # ONNX has (channels * multiple, 1, height, width).
        each = weights.reshape(channels, -1, *weights.shape[2:]).transpose(2, 3, 0, 1)
        return tf.nn.depthwise_conv2d(x, each, [1, *strides, 1], padding, dilations=dilations)
    parts = zip(tf.split(x, groups, axis=-1), np.split(weights, groups), strict=True)
    kernels = [(part, weight.transpose(2, 3, 1, 0)) for part, weight in parts]
    return tf.concat([tf.nn.conv2d(p, k, strides, padding, dilations=dilations) for p, k in kernels], axis=-1)


def pooling(node: Node) -> Value:
    """Take the largest value or the mean of every window."""
    x, flat = _as_picture(node)
    window, strides = _sizes(node, "kernel_shape", flat), _sizes(node, "strides", flat)
    if set(_sizes(node, "dilations", flat)) != {1}:
        raise node.unsupported("with gaps in its window")
    pads = _pads(node, x, window, strides, flat)
    padding = "SAME" if pads == _same(x, window, strides) else "VALID"
    if node.kind == "MaxPool":
        padded = x if padding == "SAME" else _padded(x, pads, _mode_for_maximum(node, x, window, pads))
        return _as_before(tf.nn.max_pool2d(padded, window, strides, padding), flat)
    with_padding = bool(node.attributes.get("count_include_pad", 0))
    if padding == "SAME" and (not with_padding or not np.any(pads)):
        return _as_before(tf.nn.avg_pool2d(x, window, strides, padding), flat)
    y = tf.nn.avg_pool2d(_padded(x, pads), window, strides, "VALID")
    if not with_padding:
        y /= _share_inside(x, window, strides, pads)
    return _as_before(y, flat)


def global_pooling(node: Node) -> Value:
    """Take the largest value or the mean of every channel."""
    x = node.value().last()
    reduce = tf.reduce_max if node.kind == "GlobalMaxPool" else tf.reduce_mean
    return Value(reduce(x, axis=list(range(1, x.shape.rank - 1)), keepdims=True), channels_last=True)


def resizing(node: Node) -> Value:
    """Enlarge or shrink a picture (batch, channels, height, width)."""
    x = node.value()
    if x.rank != 4:
        raise node.unsupported(f"over {x.rank} axes")
    given = 1 if node.kind == "Upsample" else 2
    scales = np.asarray(node.attributes["scales"]) if "scales" in node.attributes else None
    if node.has(3):
        sizes = [int(size) for size in node.constant(3, "sizes")]
    else:
        scales = node.constant(given, "scales") if scales is None else scales
        sizes = [int(np.floor(size * scale)) for size, scale in zip(x.shape, scales, strict=True)]
    mode, default = _text(node, "mode", "nearest"), "asymmetric" if node.kind == "Upsample" else "half_pixel"
    where = _text(node, "coordinate_transformation_mode", default)
    how = {"align_corners": where == "align_corners", "half_pixel_centers": where.endswith("half_pixel")}
    if mode == "linear":
        return Value(tf.raw_ops.ResizeBilinear(images=x.last(), size=sizes[2:], **how), channels_last=True)
    if mode == "nearest":
        return Value(tf.raw_ops.ResizeNearestNeighbor(images=x.last(), size=sizes[2:], **how), channels_last=True)
    raise node.unsupported(f"of mode {mode}")


def _text(node: Node, name: str, default: str) -> str:
    value = node.attributes.get(name, default)
    return value.decode() if isinstance(value, bytes) else str(value)


def _as_picture(node: Node) -> tuple[Any, bool]:
    """Return the input as (1, height, width, channels), and whether it was a sequence."""
    x = node.value().last()
    return (tf.expand_dims(x, 1), True) if x.shape.rank == 3 else (x, False)


def _as_before(y: Any, flat: bool) -> Value:
    return Value(tf.squeeze(y, 1) if flat else y, channels_last=True)


def _sizes(node: Node, name: str, flat: bool) -> list[int]:
    sizes = [int(size) for size in node.attributes.get(name, [1] if flat else [1, 1])]
    return [1, *sizes] if flat else sizes


def _pads(node: Node, x: Any, window: Sequence[int], strides: Sequence[int], flat: bool) -> Pads:
    """Return how much is added before and after height and width."""
    automatic = _text(node, "auto_pad", "NOTSET")
    if automatic.startswith("SAME"):
        same = _same(x, window, strides)
        return same if automatic == "SAME_UPPER" else [(after, before) for before, after in same]
    axes = 1 if flat else 2
    given = [int(pad) for pad in node.attributes.get("pads", [0] * 2 * axes)] if automatic == "NOTSET" else [0] * 4
    pads = [(given[axis], given[axis + axes]) for axis in range(axes)]
    pads = [(0, 0), *pads] if flat else pads
    if node.attributes.get("ceil_mode", 0):
        return [_with_the_rest(*sizes) for sizes in zip(_spatial(x), window, strides, pads, strict=True)]
    return pads


def _with_the_rest(size: int, window: int, stride: int, pads: tuple[int, int]) -> tuple[int, int]:
    """Return the pads with which a last window fits that begins inside, as ONNX's ceil_mode has it."""
    before, after = pads
    steps = -(-(size + before + after - window) // stride)
    if steps * stride >= size + before:
        steps -= 1
    return before, max(after, steps * stride + window - size - before)


def _same(x: Any, window: Sequence[int], strides: Sequence[int]) -> Pads:
    """Return the pads that TensorFlow's padding SAME stands for."""
    pads = []
    for size, width, stride in zip(_spatial(x), window, strides, strict=True):
        whole = max((-(-size // stride) - 1) * stride + width - size, 0)
        pads.append((whole // 2, whole - whole // 2))
    return pads


def _spatial(x: Any) -> list[int]:
    return [int(size) for size in x.shape[1:3]]


def _padded(x: Any, pads: Pads, mode: str = "CONSTANT") -> Any:
    return tf.pad(x, [(0, 0), *pads, (0, 0)], mode) if np.any(pads) else x


def _mode_for_maximum(node: Node, x: Any, window: Sequence[int], pads: Pads) -> str:
    """Return a padding that changes no maximum. ONNX's is minus infinity, which would spoil the ranges of int8."""
    if x.op.type in _NOT_NEGATIVE:
        return "CONSTANT"
    # What is mirrored at the border lies in the window already.
    if any(2 * max(pad) > width for pad, width in zip(pads, window, strict=True)):
        raise node.unsupported("with more padding than half of its window")
    return "SYMMETRIC"


def _share_inside(x: Any, window: Sequence[int], strides: Sequence[int], pads: Pads) -> Array:
    """Return which share of every window lies in the picture: (height, width, 1) float32."""
    inside = np.pad(np.ones(_spatial(x), np.float32), pads)
    windows = np.lib.stride_tricks.sliding_window_view(inside, tuple(window))[:: strides[0], :: strides[1]]
    return np.asarray(windows.mean(axis=(-2, -1), dtype=np.float32)[:, :, np.newaxis])

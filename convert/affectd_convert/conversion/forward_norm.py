"""Batch normalization behind an activation, folded into the layer that follows.

The converter folds what stands behind a convolution into it (Jacob et al. 2018, arXiv 1712.05877, section 3.2), but not
what stands behind its activation: in int8 that is a MUL and an ADD, each rounded, and the channels' different ranges
share one step. Forwards it folds as exactly: y = s x + b is linear, and so is the layer that takes y. Only a padded
convolution needs care: it pads with y = 0, which is x = -b / s. Imports Keras: only for the process that converts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from affectd_convert.conversion.same_answers import TOLERANCE, difference

FloatArray = NDArray[np.float32]

RISING = (layers.MaxPooling1D, layers.MaxPooling2D, layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D)
"""A linear map passes through them where no channel's scale is negative."""
AVERAGES = (layers.AveragePooling1D, layers.AveragePooling2D)
AVERAGES_OF_ALL = (layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D)
DROPOUTS = (layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D)
LINEAR = (*AVERAGES, *AVERAGES_OF_ALL, *DROPOUTS)
TAKERS = (layers.Conv1D, layers.Conv2D, layers.Dense)
SMALLEST = 1e-3
"""A channel whose scale is less than this share of the largest would be padded with too large a number."""


def fold_forward(model: Any, input_shape: tuple[int, ...]) -> Any:
    """Return a copy of `model`, of input (1, *input_shape), without the normalizations that fold into what follows.

    It is the model itself where there are none, or where a copy would answer otherwise.
    """
    folds = [fold for layer in model.layers if (fold := _fold_of(layer, model)) is not None]
    if not folds:
        return model
    gone = {id(fold.norm) for fold in folds}
    takers = {id(fold.taker): fold for fold in folds}

    def clone(layer: Any) -> Any:
        if id(layer) in gone:
            return _Nothing(name=layer.name)
        if id(layer) not in takers:
            return type(layer).from_config(layer.get_config())
        config = layer.get_config() | {"use_bias": True}
        if getattr(layer, "padding", "valid") == "valid":
            return type(layer).from_config(config)
        return _Padded(type(layer).from_config(config | {"padding": "valid"}), layer, takers[id(layer)])

    copy = keras.models.clone_model(model, clone_function=clone)
    for old, new in zip(model.layers, copy.layers, strict=True):
        if id(old) in takers:
            (new.layer if isinstance(new, _Padded) else new).set_weights(takers[id(old)].weights())
        elif id(old) not in gone:
            new.set_weights(old.get_weights())
    return copy if difference(copy, model, input_shape) <= TOLERANCE else model


@dataclass(frozen=True, eq=False)
class _Fold:
    """A normalization y = scale x + shift, by channel, and the layer that takes it in."""

    norm: Any
    taker: Any
    scale: FloatArray
    shift: FloatArray

    def weights(self) -> list[FloatArray]:
        """Return kernel and bias of the taker for x in place of y."""
        kernel, *bias = self.taker.get_weights()
        added = np.tensordot(kernel, self.shift, axes=([kernel.ndim - 2], [0]))
        added = added.reshape(-1, kernel.shape[-1]).sum(axis=0)
        return [kernel * self.scale[:, np.newaxis], added + bias[0] if bias else added]


class _Nothing(layers.Layer):  # type: ignore[misc]
    """Stands where a normalization stood."""

    def call(self, x: Any, training: bool = False, mask: Any = None) -> Any:  # noqa: ARG002 - what BatchNormalization takes
        """Return what comes."""
        return x


class _Padded(layers.Layer):  # type: ignore[misc]
    """A convolution that pads by itself, each channel with what normalization would have made 0."""

    def __init__(self, layer: Any, padded: Any, fold: _Fold) -> None:
        super().__init__(name=layer.name)
        self.layer = layer
        self._value = np.asarray(-fold.shift / fold.scale, np.float32)
        self._edges = _edges(padded)

    def call(self, x: Any) -> Any:
        """Return what the convolution that was padded with zeros returns behind the normalization."""
        for axis, widths in enumerate(self._edges, start=1):
            shape = list(ops.shape(x))
            edges = [ops.broadcast_to(self._value, [*shape[:axis], width, *shape[axis + 1 :]]) for width in widths]
            x = ops.concatenate([edges[0], x, edges[1]], axis)
        return self.layer(x)


def _edges(layer: Any) -> list[tuple[int, int]]:
    """Return how many places 'same' adds before and behind, an axis each."""
    edges = []
    sizes = layer.input.shape[1:-1]
    for size, side, step, apart in zip(sizes, layer.kernel_size, layer.strides, layer.dilation_rate, strict=True):
        total = max((-(-size // step) - 1) * step + (side - 1) * apart + 1 - size, 0)
        edges.append((total // 2, total - total // 2))
    return edges


def _fold_of(norm: Any, model: Any) -> _Fold | None:
    """Return what becomes of a layer that normalizes behind an activation, None where it must stay or is none."""
    if not isinstance(norm, layers.BatchNormalization) or (behind := _only_taker(norm, model)) is None:
        return None
    if norm.axis not in {-1, len(norm.input.shape) - 1} or _folds_backwards(norm.input._keras_history.operation):
        return None
    deviation = np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    scale = (np.asarray(norm.gamma) if norm.scale else 1.0) / deviation
    shift = (np.asarray(norm.beta) if norm.center else 0.0) - np.asarray(norm.moving_mean) * scale
    while isinstance(behind, LINEAR) or (isinstance(behind, RISING) and scale.min() > 0):
        behind = _only_taker(behind, model)
    if not isinstance(behind, TAKERS) or getattr(behind, "groups", 1) != 1 or len(behind._inbound_nodes) != 1:
        return None
    pads = getattr(behind, "padding", "valid")
    if pads not in {"valid", "same"} or (pads == "same" and np.abs(scale).min() < SMALLEST * np.abs(scale).max()):
        return None
    return _Fold(norm, behind, np.asarray(scale, np.float32), np.asarray(shift, np.float32))


def _folds_backwards(layer: Any) -> bool:
    return isinstance(layer, (*TAKERS, layers.DepthwiseConv1D, layers.DepthwiseConv2D)) and (
        layer.activation is keras.activations.linear
    )


def _only_taker(layer: Any, model: Any) -> Any:
    """Return the one layer that takes this one's output, None where there are several, none, or the box itself."""
    if len(layer._inbound_nodes) != 1 or len(layer._outbound_nodes) != 1:
        return None
    if any(layer.output is answer for answer in model.outputs):
        return None
    return layer._outbound_nodes[0].operation

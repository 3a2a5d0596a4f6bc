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
TAKERS = (layers.Conv1D, layers.Conv2D, layers.Dense, layers.LSTM)
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
    takers = {id(taker): fold for fold in folds for taker in fold.takers}

    def clone(layer: Any) -> Any:
        if id(layer) in gone:
            return _Nothing(name=layer.name)
        if id(layer) not in takers:
            return type(layer).from_config(layer.get_config())
        config = layer.get_config() | {"use_bias": True}
        if _pads(layer) == "valid":
            return type(layer).from_config(config)
        return _Padded(type(layer).from_config(config | {"padding": "valid"}), layer, takers[id(layer)])

    copy = keras.models.clone_model(model, clone_function=clone)
    for old, new in zip(model.layers, copy.layers, strict=True):
        if id(old) in takers:
            (new.layer if isinstance(new, _Padded) else new).set_weights(takers[id(old)].weights_of(old))
        elif id(old) not in gone:
            new.set_weights(old.get_weights())
    return copy if difference(copy, model, input_shape) <= TOLERANCE else model


@dataclass(frozen=True, eq=False)
class _Fold:
    """A normalization y = scale x + shift, by channel, and the layers that take it in."""

    norm: Any
    takers: tuple[Any, ...]
    scale: FloatArray
    shift: FloatArray

    def weights_of(self, taker: Any) -> list[FloatArray]:
        """Return the weights of a taker for x in place of y."""
        # A recurrent layer's second kernel is for its own state.
        kernel, *recurrent = taker.get_weights()[: 2 if isinstance(taker, layers.LSTM) else 1]
        bias = taker.get_weights()[-1] if taker.use_bias else 0.0
        added = np.tensordot(kernel, self.shift, axes=([kernel.ndim - 2], [0]))
        added = added.reshape(-1, kernel.shape[-1]).sum(axis=0)
        return [kernel * self.scale[:, np.newaxis], *recurrent, added + bias]


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
    if not isinstance(norm, layers.BatchNormalization) or len(norm._inbound_nodes) != 1:
        return None
    if norm.axis not in {-1, len(norm.input.shape) - 1} or _folds_backwards(norm.input._keras_history.operation):
        return None
    deviation = np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    scale = np.asarray((np.asarray(norm.gamma) if norm.scale else 1.0) / deviation, np.float32)
    shift = (np.asarray(norm.beta) if norm.center else 0.0) - np.asarray(norm.moving_mean) * scale
    takers = _takers(norm, model, LINEAR + (RISING if scale.min() > 0 else ()))
    small = np.abs(scale).min() < SMALLEST * np.abs(scale).max()
    if not takers or (small and any(_pads(taker) == "same" for taker in takers)):
        return None
    return _Fold(norm, tuple(takers), scale, np.asarray(shift, np.float32))


def _takers(layer: Any, model: Any, passing: tuple[type, ...]) -> list[Any]:
    """Return the layers that a layer's output comes to, through those of kind `passing`; none where one cannot fold."""
    if any(layer.output is answer for answer in model.outputs):
        return []
    found = []
    for node in layer._outbound_nodes:
        behind = node.operation
        if len(behind._inbound_nodes) != 1:
            return []
        if isinstance(behind, passing):
            further = _takers(behind, model, passing)
        else:
            further = [behind] if isinstance(behind, TAKERS) and _pads(behind) in {"valid", "same"} else []
        if not further or getattr(behind, "groups", 1) != 1:
            return []
        found += further
    return found


def _pads(layer: Any) -> str:
    return str(getattr(layer, "padding", "valid"))


def _folds_backwards(layer: Any) -> bool:
    folding = (layers.Conv1D, layers.Conv2D, layers.Dense, layers.DepthwiseConv1D, layers.DepthwiseConv2D)
    return isinstance(layer, folding) and layer.activation is keras.activations.linear

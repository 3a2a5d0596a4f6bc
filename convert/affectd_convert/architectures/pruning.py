"""A narrower network out of a wide one: of every convolution the channels that matter most, and then training.

Channels are ranked by what the next layer takes of them: the scale of their batch normalization times the size
of the weights that read them (Liu et al. 2017, "Network Slimming", and Li et al. 2017).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def slim_down(wide: Any, narrow: Any) -> Any:
    """Return the Keras model `narrow` the weights of `wide`'s most important channels.

    Both are plain stacks of the same layers by the same names; `narrow` has as many channels or fewer, and the
    same inputs and outputs.
    """
    weighty = [layer.name for layer in wide.layers if layer.weights]
    readers = {name: _reader(wide, weighty[index + 1 :]) for index, name in enumerate(weighty)}
    taken = np.arange(wide.input_shape[-1])
    importance_of = {name: _importance(wide, name, readers[name]) for name in weighty if not name.endswith("_bn")}
    for name in weighty:
        old, new = wide.get_layer(name), narrow.get_layer(name)
        if name.endswith("_bn"):
            new.set_weights([values[taken] for values in old.get_weights()])
            continue
        kernel, *bias = old.get_weights()
        kept = _best(importance_of[name], new.get_weights()[0].shape[-1])
        kernel = kernel[..., taken, :][..., kept]
        new.set_weights([kernel, *(values[kept] for values in bias)])
        taken = kept
    return narrow


def _reader(model: Any, later: list[str]) -> Any:
    """Return the next layer that has a kernel, of those named; None after the last."""
    return next((model.get_layer(name) for name in later if not name.endswith("_bn")), None)


def _importance(model: Any, name: str, reader: Any) -> NDArray[np.float32]:
    """Rank a layer's output channels: (channels,), larger is more important."""
    kernel = model.get_layer(name).get_weights()[0]
    if reader is None:
        return np.ones(kernel.shape[-1], np.float32)
    read = reader.get_weights()[0]
    size = np.sqrt(np.square(read).sum(axis=tuple(i for i in range(read.ndim) if i != read.ndim - 2)))
    names = {layer.name for layer in model.layers}
    if f"{name}_bn" in names:
        size = size * np.abs(model.get_layer(f"{name}_bn").get_weights()[0])
    return np.asarray(size, np.float32)


def _best(importance: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the rows of the `count` largest, in their own order."""
    return np.sort(np.argsort(-importance, kind="stable")[:count])

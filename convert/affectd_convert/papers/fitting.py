"""Fit one network plainly and score it on both sides of a split: Adam, the last epoch, nothing selected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Labels = NDArray[np.int64]
BATCH = 32
SEED = 1


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and how fast a network learns."""

    epochs: int
    rate: float = 1e-3
    """Adam's learning rate; it falls to zero along a cosine."""


def fit(network: Callable[[], Any], inputs: FloatArray, labels: Labels, recipe: Recipe) -> Any:
    """Train a fresh Keras network (logits out) on inputs (n, ...) and label numbers (n,); return it."""
    import keras

    keras.utils.set_random_seed(SEED)
    model = network()
    steps = recipe.epochs * -(-len(labels) // BATCH)
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(recipe.rate, steps)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(inputs, labels, batch_size=BATCH, epochs=recipe.epochs, shuffle=True, verbose=2)
    return model


def logits(model: Any, inputs: FloatArray) -> FloatArray:
    """Return a fitted network's logits (n, labels)."""
    return np.asarray(model.predict(inputs, batch_size=256, verbose=0), np.float32)

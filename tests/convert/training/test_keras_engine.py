"""Training steps with Keras."""

import numpy as np
import pytest

from affectd_convert.training.keras_engine import KerasEngine
from affectd_convert.training.plan import Plan, Stage


def engine(**changes) -> KerasEngine:
    import keras
    from keras import layers

    def build():
        faces = keras.Input((4, 4, 1))
        x = layers.BatchNormalization(name="norm")(faces)
        return keras.Model(faces, layers.Dense(7)(layers.Flatten()(x)))

    return KerasEngine(build, Plan(stages=(Stage(epochs=1),), precision="float32", **changes), None)


def test_statistics_are_taken_anew_from_all_batches_whatever_the_momentum():
    settled = engine()
    batches = [np.full((8, 4, 4, 1), level, np.float32) for level in (1, 2, 6)]
    settled.settle(batches)
    norm = settled.keras_model().get_layer("norm")
    assert norm.moving_mean.numpy() == pytest.approx(3)
    assert norm.moving_variance.numpy() == pytest.approx(0)
    assert norm.momentum == 0.99


def test_adamax_learns():
    learning, rng = engine(optimizer="adamax"), np.random.default_rng(0)
    inputs = rng.standard_normal((64, 4, 4, 1)).astype(np.float32)
    targets = np.eye(7, dtype=np.float32)[rng.integers(0, 7, 64)]
    losses = [learning.step(inputs, targets, 0.01) for _ in range(20)]
    assert losses[-1] < 0.8 * losses[0]

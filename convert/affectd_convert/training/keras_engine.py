"""Training with Keras, on whatever backend it runs; fits every network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd_convert.errors import TrainingError
from affectd_convert.training.damaged import reading
from affectd_convert.training.plan import Plan

FloatArray = NDArray[np.float32]


class KerasEngine:
    """A compiled Keras model; its checkpoint is a `.keras` file with the optimizer's state in it."""

    suffix = ".keras"

    def __init__(self, build: Callable[[], Any], plan: Plan, checkpoint: Path | None) -> None:
        import keras

        if plan.sharpness:
            raise TrainingError("sharpness: the keras engine cannot; take --engine torch")
        keras.config.set_dtype_policy(plan.precision)
        self._model = build()
        self._model.compile(optimizer=_optimizer(plan), loss=keras.losses.CategoricalCrossentropy(from_logits=True))
        if checkpoint is not None:
            self._go_on_from(checkpoint)

    def step(self, inputs: FloatArray, targets: FloatArray, rate: float) -> float:
        """Learn from one batch."""
        self._model.optimizer.learning_rate = rate
        loss = float(self._model.train_on_batch(inputs, targets))
        self._model.reset_metrics()
        return loss

    def logits(self, inputs: FloatArray) -> FloatArray:
        """Return logits, without learning."""
        return np.asarray(self._model.predict(inputs, batch_size=256, verbose=0), np.float32)

    def settle(self, originals: Iterable[FloatArray]) -> None:
        """Take the batch statistics anew: the mean over all batches, whatever momentum they have in training."""
        import keras

        layers = [one for one in self._model._flatten_layers() if isinstance(one, keras.layers.BatchNormalization)]
        momenta = [layer.momentum for layer in layers]
        for before, inputs in enumerate(originals):
            for layer in layers:
                layer.momentum = before / (before + 1)
            self._model(inputs, training=True)
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum

    def save(self, path: Path) -> None:
        """Write model and optimizer."""
        self._model.save(path)

    def keras_model(self) -> Any:
        """Return the model."""
        return self._model

    def _go_on_from(self, checkpoint: Path) -> None:
        """Take in the weights and the optimizer's state."""
        import keras

        # The whole optimizer, as Keras loads it, has forgotten what does not decay.
        optimizer = self._model.optimizer
        optimizer.build(self._model.trainable_variables)
        with reading(checkpoint):
            self._model.load_weights(checkpoint)
        # Of a dropout Keras saves nothing: its seed is the plan's, and it draws once a step.
        for layer in self._model.layers:
            if isinstance(layer, keras.layers.Dropout):
                seed, _ = layer.seed_generator.state.numpy()
                layer.seed_generator.state.assign([int(seed), int(optimizer.iterations.numpy())])


def _optimizer(plan: Plan) -> Any:
    import keras

    if plan.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(
            plan.peak_rate, weight_decay=plan.weight_decay, global_clipnorm=plan.clip_norm
        )
    elif plan.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(
            plan.peak_rate, momentum=0.9, nesterov=True, weight_decay=plan.weight_decay, global_clipnorm=plan.clip_norm
        )
    elif plan.optimizer == "adamax":
        optimizer = keras.optimizers.Adamax(
            plan.peak_rate, weight_decay=plan.weight_decay, global_clipnorm=plan.clip_norm
        )
    else:
        raise TrainingError(f"optimizer {plan.optimizer!r}: not known; one of sgd, adamw, adamax")
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer

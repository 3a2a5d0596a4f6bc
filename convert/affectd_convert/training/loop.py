"""The training loop of both tasks: kill it at any time, start it again, and it goes on.

After every epoch the run's folder (`run_folder.py`) holds all that is needed to go on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from affectd_convert.errors import TrainingError
from affectd_convert.training.run_folder import Row, RunFolder

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]


class Batches(Protocol):
    """The batches of one epoch."""

    def __len__(self) -> int:
        """Count them."""

    def __getitem__(self, index: int, /) -> Batch:
        """Make one: inputs and target distributions."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stretch of epochs at one image size (voice models have one size, 0)."""

    epochs: int
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that decides how a run goes, besides data and network."""

    stages: tuple[Stage, ...]
    batch_size: int = 64
    optimizer: str = "sgd"
    """'sgd' with Nesterov momentum 0.9, or 'adamw'."""
    peak_rate: float = 0.04
    warmup: float = 0.15
    """Share of all steps in which the learning rate climbs to its peak; a cosine takes it back to 0."""
    weight_decay: float = 5e-4
    clip_norm: float = 5.0
    precision: str = "mixed_bfloat16"
    """Keras dtype policy: mixed_bfloat16 is faster where the processor has it; else 'float32'."""
    seed: int = 1

    @property
    def epochs(self) -> int:
        """All epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def stage_of(self, epoch: int) -> Stage:
        """Give the stage that epoch (from 0) belongs to."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage
            epoch -= stage.epochs
        return self.stages[-1]

    def rate(self, progress: float) -> float:
        """Give the learning rate at `progress` 0..1 of the run: warm-up, then a cosine to 0."""
        if progress < self.warmup:
            return self.peak_rate * max(progress / self.warmup, 0.02)
        return self.peak_rate * 0.5 * (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup)))


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training run: plan, network, and where batches and validation data come from."""

    run: Path
    plan: Plan
    describe: dict[str, Any]
    """What else config.json records: architecture, data, preprocessing."""
    build: Callable[[], Any]
    batches: Callable[[Stage, int], Batches]
    """(stage, epoch) to the batches of that epoch."""
    validation: Callable[[Stage], Batch]
    originals: Callable[[], Iterable[NDArray[np.float32]]] | None = None
    """Batches of training inputs not augmented, from which the last batch statistics are taken; None: they stay."""


def train(job: Job, *, report: Callable[[str], None] = print) -> Path:
    """Train to the end of the plan, going on from the checkpoint if there is one; give model.keras.

    Raises TrainingError when the run folder belongs to another configuration or cannot be written.
    """
    import keras

    keras.utils.set_random_seed(job.plan.seed)
    keras.config.set_dtype_policy(job.plan.precision)
    folder = RunFolder(job.run)
    folder.claim({"plan": asdict(job.plan), **job.describe})
    if folder.rows:
        report(f"{folder.name}: going on after epoch {len(folder.rows)} of {job.plan.epochs}")
        model = keras.saving.load_model(folder.checkpoint)
    else:
        model = job.build()
        model.compile(optimizer=_optimizer(job.plan), loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    clock = _Clock(job, report)
    for epoch in range(len(folder.rows), job.plan.epochs):
        row = _run_epoch(job, model, epoch, clock)
        folder.save(model, row)
        report(_summary(job, row))
    if job.originals is not None:
        _settle(model, job.originals())
        settled = _validate(model, job.validation(job.plan.stages[-1]))
        report(f"{folder.name}: statistics settled: accuracy {settled['accuracy']:.1%}, UAR {settled['uar']:.1%}")
    final = folder.finish(model)
    report(f"{folder.name}: trained; {final}")
    return final


def _settle(model: Any, originals: Iterable[NDArray[np.float32]]) -> None:
    """Take the batch normalization's statistics anew from inputs as the device sees them.

    Augmented inputs have other statistics (Touvron et al. 2019; Wu & Johnson 2021, "Rethinking Batch in
    BatchNorm"). The weights stay as they are.
    """
    for inputs in originals:
        model(inputs, training=True)


def _run_epoch(job: Job, model: Any, epoch: int, clock: _Clock) -> Row:
    stage = job.plan.stage_of(epoch)
    batches = job.batches(stage, epoch)
    clock.start(epoch, len(batches))
    loss = 0.0
    for index, (inputs, targets) in enumerate(_prefetch(batches)):
        model.optimizer.learning_rate = job.plan.rate((epoch + index / len(batches)) / job.plan.epochs)
        loss += float(model.train_on_batch(inputs, targets))
        model.reset_metrics()
        if not math.isfinite(loss):
            raise TrainingError(
                f"{job.run.name}: the loss is no number in epoch {epoch + 1}; lower peak_rate and start again: "
                "the last checkpoint is untouched"
            )
        clock.tick(index + 1, loss / (index + 1))
    return {
        "epoch": epoch + 1,
        "size": stage.size,
        "rate": round(job.plan.rate((epoch + 1) / job.plan.epochs), 6),
        "loss": round(loss / len(batches), 4),
        **{f"val_{k}": round(v, 4) for k, v in _validate(model, job.validation(stage)).items()},
        "seconds": round(clock.elapsed(), 1),
    }


def _validate(model: Any, validation: Batch) -> dict[str, float]:
    inputs, targets = validation
    return scores(np.asarray(model.predict(inputs, batch_size=256, verbose=0), np.float32), targets)


def scores(logits: NDArray[np.float32], targets: NDArray[np.float32]) -> dict[str, float]:
    """Give cross-entropy, accuracy and unweighted average recall of logits (n, k) against one-hot targets."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    label, answer = targets.argmax(axis=1), logits.argmax(axis=1)
    recalls = [float(np.mean(answer[label == k] == k)) for k in np.unique(label)]
    return {
        "loss": float(-(targets * log_probabilities).sum(axis=1).mean()),
        "accuracy": float(np.mean(answer == label)),
        "uar": float(np.mean(recalls)),
    }


class _Clock:
    """Says every few seconds how far the run is and when it will end."""

    def __init__(self, job: Job, report: Callable[[str], None]) -> None:
        self._job, self._report = job, report
        self.start(0, 1)

    def start(self, epoch: int, steps: int) -> None:
        self._began = self._said = time.monotonic()
        self._epoch, self._steps = epoch, steps

    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def tick(self, done: int, loss: float) -> None:
        now = time.monotonic()
        if now - self._said < 20:
            return
        self._said = now
        per_step = (now - self._began) / done
        plan = self._job.plan
        # A step's cost goes with the picture's area.
        areas = [max(plan.stage_of(epoch).size, 1) ** 2 for epoch in range(self._epoch, plan.epochs)]
        ahead = sum(areas[1:]) / areas[0]
        left = per_step * (self._steps - done + ahead * self._steps)
        self._report(
            f"{self._job.run.name}: epoch {self._epoch + 1}/{plan.epochs} step {done}/{self._steps} "
            f"loss {loss:.3f}, {1 / per_step * plan.batch_size:.0f} samples/s, {_duration(left)} to go"
        )


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours} h {rest // 60:02d} min" if hours else f"{rest // 60} min {rest % 60:02d} s"


def _prefetch(batches: Batches) -> Any:
    """Make the next batch on another thread while this one trains."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(batches.__getitem__, 0)
        for index in range(len(batches)):
            batch = ahead.result()
            if index + 1 < len(batches):
                ahead = pool.submit(batches.__getitem__, index + 1)
            yield batch


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
    else:
        raise TrainingError(f"optimizer {plan.optimizer!r}: not known; one of sgd, adamw")
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _summary(job: Job, row: Row) -> str:
    size = f" at {row['size']}x{row['size']}" if row["size"] else ""
    return (
        f"{job.run.name}: epoch {row['epoch']}/{job.plan.epochs}{size}: loss {row['loss']:.3f}, validation loss "
        f"{row['val_loss']:.3f}, accuracy {row['val_accuracy']:.1%}, UAR {row['val_uar']:.1%} ({row['seconds']:.0f} s)"
    )

"""The training loop of both tasks: kill it at any time, start it again, and it goes on.

After every epoch the run's folder (`run_folder.py`) holds all that is needed to go on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from affectd_convert.errors import TrainingError
from affectd_convert.training import engine
from affectd_convert.training.batch import Batch
from affectd_convert.training.plan import Plan, Stage
from affectd_convert.training.run_config import RunConfig
from affectd_convert.training.run_folder import Row, RunFolder


class Batches(Protocol):
    """The batches of one epoch."""

    def __len__(self) -> int:
        """Count them."""

    def __getitem__(self, index: int, /) -> Batch:
        """Make one."""


class Validation(Protocol):
    """Samples never trained on, as the device would see them."""

    @property
    def targets(self) -> NDArray[np.float32]:
        """One-hot labels (n, labels)."""

    def logits(self, run: Callable[[NDArray[np.float32]], NDArray[np.float32]], /) -> NDArray[np.float32]:
        """Return logits (n, labels), one row a sample; `run` is the network, inputs (m, ...) to logits (m, labels)."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training run: configuration, network, and where batches and validation data come from."""

    run: Path
    config: RunConfig
    """What config.json records: plan, architecture, data, preprocessing."""
    build: Callable[[], Any]
    batches: Callable[[Stage, int], Batches]
    """(stage, epoch) to the batches of that epoch."""
    validation: Validation
    validated_on: str = "validation"
    """What reports and curves call those samples."""
    originals: Callable[[], Iterable[NDArray[np.float32]]] | None = None
    """Batches of training inputs not augmented, from which the last batch statistics are taken; None: they stay."""

    @property
    def plan(self) -> Plan:
        """How the run goes."""
        return self.config.plan


def train(job: Job, *, report: Callable[[str], None] = print) -> Path:
    """Train to the end of the plan, going on from the checkpoint if there is one; return model.keras.

    Raises TrainingError when the run folder belongs to another configuration or cannot be written.
    """
    import keras

    keras.utils.set_random_seed(job.plan.seed)
    folder = RunFolder(job.run, job.validated_on)
    folder.claim(job.config.to_json(), job.config.command)
    report = folder.logging(report)
    if folder.rows:
        report(f"{folder.name}: going on after epoch {len(folder.rows)} of {job.plan.epochs}")
    there = job.validation.targets.any(axis=0)
    if absent := [label for label, any_of_it in zip(job.config.labels, there, strict=True) if not any_of_it]:
        report(f"{folder.name}: nothing labelled {', '.join(absent)} is validated on: how well it is learnt is unknown")
    network = engine.start(job.plan.engine, job.build, job.plan, folder.checkpoint if folder.rows else None)
    clock = _Clock(job, report)
    for epoch in range(len(folder.rows), job.plan.epochs):
        row = _run_epoch(job, network, epoch, clock)
        folder.save(network, row)
        report(_summary(job, row))
    if job.originals is not None:
        # Augmented inputs have other statistics than the device's (Touvron et al. 2019; Wu & Johnson 2021,
        # "Rethinking Batch in BatchNorm"); the weights stay as they are.
        network.settle(job.originals())
        settled = _validate(network, job.validation)
        report(f"{folder.name}: statistics settled: accuracy {settled['accuracy']:.1%}, UAR {settled['uar']:.1%}")
    final = folder.finish(network.keras_model())
    report(f"{folder.name}: trained; {final.name}")
    return final


def _run_epoch(job: Job, network: engine.Engine, epoch: int, clock: _Clock) -> Row:
    stage = job.plan.stage_of(epoch)
    batches = job.batches(stage, epoch)
    if not len(batches):
        raise TrainingError(f"{job.run.name}: the training data is less than one batch of {job.plan.batch_size}")
    clock.start(epoch, len(batches))
    loss = 0.0
    for index, batch in enumerate(_prefetch(batches)):
        loss += network.step(
            batch.inputs, batch.targets, job.plan.rate((epoch + index / len(batches)) / job.plan.epochs)
        )
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
        **{f"val_{k}": round(v, 4) for k, v in _validate(network, job.validation).items()},
        "seconds": round(clock.elapsed(), 1),
    }


def _validate(network: engine.Engine, validation: Validation) -> dict[str, float]:
    return scores(validation.logits(network.logits), validation.targets)


def scores(logits: NDArray[np.float32], targets: NDArray[np.float32]) -> dict[str, float]:
    """Return cross-entropy, accuracy and unweighted average recall of logits (n, k) against one-hot targets."""
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
    """Report every few seconds how far the run is and when it will end."""

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


def _summary(job: Job, row: Row) -> str:
    size = f" at {row['size']}x{row['size']}" if row["size"] else ""
    validated = f"loss {row['val_loss']:.3f}, accuracy {row['val_accuracy']:.1%}, UAR {row['val_uar']:.1%}"
    return (
        f"{job.run.name}: epoch {row['epoch']}/{job.plan.epochs}{size}: loss {row['loss']:.3f}; "
        f"{job.validated_on}: {validated} ({row['seconds']:.0f} s)"
    )

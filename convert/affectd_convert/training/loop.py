"""The training loop of both tasks: kill it at any time, start it again, and it goes on.

A run is a folder: config.json (what was asked), checkpoint.keras and state.json (where it stands),
history.csv and curves.png (how it went), log.txt, and at the end model.keras.
"""

from __future__ import annotations

import csv
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from affectd_convert.errors import TrainingError

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


def train(job: Job, *, report: Callable[[str], None] = print) -> Path:
    """Train to the end of the plan, going on from the checkpoint if there is one; give model.keras.

    Raises TrainingError when the run folder belongs to another configuration or cannot be written.
    """
    import keras

    keras.utils.set_random_seed(job.plan.seed)
    keras.config.set_dtype_policy(job.plan.precision)
    _claim(job)
    state = _State.load(job.run)
    model = job.build() if state.epoch == 0 else keras.saving.load_model(job.run / "checkpoint.keras")
    if state.epoch == 0:
        model.compile(optimizer=_optimizer(job.plan), loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    else:
        report(f"{job.run.name}: going on after epoch {state.epoch} of {job.plan.epochs}")
    clock = _Clock(job, state, report)
    while state.epoch < job.plan.epochs:
        row = _run_epoch(job, model, state, clock)
        state.advance(row)
        _save(job, model, state)
        report(_summary(job, row))
    final = job.run / "model.keras"
    _write(model.save, final)
    report(f"{job.run.name}: trained; {final}")
    return final


def _run_epoch(job: Job, model: Any, state: _State, clock: _Clock) -> dict[str, float]:
    stage = job.plan.stage_of(state.epoch)
    batches = job.batches(stage, state.epoch)
    clock.start(stage, len(batches))
    loss = 0.0
    for index, (inputs, targets) in enumerate(_prefetch(batches)):
        model.optimizer.learning_rate = job.plan.rate((state.epoch + index / len(batches)) / job.plan.epochs)
        loss += float(model.train_on_batch(inputs, targets))
        model.reset_metrics()
        if not math.isfinite(loss):
            raise TrainingError(
                f"{job.run.name}: the loss is no number in epoch {state.epoch + 1}; lower peak_rate and start again: "
                "the last checkpoint is untouched"
            )
        clock.tick(index + 1, loss / (index + 1))
    inputs, targets = job.validation(stage)
    logits = np.asarray(model.predict(inputs, batch_size=256, verbose=0), np.float32)
    return {
        "epoch": state.epoch + 1,
        "size": stage.size,
        "rate": round(job.plan.rate((state.epoch + 1) / job.plan.epochs), 6),
        "loss": round(loss / len(batches), 4),
        **{f"val_{k}": round(v, 4) for k, v in scores(logits, targets).items()},
        "seconds": round(clock.elapsed(), 1),
    }


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


class _State:
    """Where a run stands: epochs done and their rows."""

    def __init__(self, rows: list[dict[str, float]]) -> None:
        self.rows = rows

    @property
    def epoch(self) -> int:
        return len(self.rows)

    def advance(self, row: dict[str, float]) -> None:
        self.rows.append(row)

    @classmethod
    def load(cls, run: Path) -> _State:
        path = run / "state.json"
        try:
            return cls(json.loads(path.read_text())) if path.exists() else cls([])
        except ValueError as error:
            raise TrainingError(f"{path}: not readable ({error}); remove the run folder to begin anew") from error


class _Clock:
    """Says every few seconds how far the run is and when it will end."""

    def __init__(self, job: Job, state: _State, report: Callable[[str], None]) -> None:
        self._job, self._state, self._report = job, state, report
        self._began = self._said = time.monotonic()
        self._stage = job.plan.stages[0]
        self._steps = 1

    def start(self, stage: Stage, steps: int) -> None:
        self._began = self._said = time.monotonic()
        self._stage, self._steps = stage, steps

    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def tick(self, done: int, loss: float) -> None:
        now = time.monotonic()
        if now - self._said < 20:
            return
        self._said = now
        per_step = (now - self._began) / done
        # A step's cost goes with the picture's area.
        area = max(self._stage.size, 1) ** 2
        ahead = sum(
            max(self._job.plan.stage_of(epoch).size, 1) ** 2 / area
            for epoch in range(self._state.epoch + 1, self._job.plan.epochs)
        )
        left = per_step * (self._steps - done + ahead * self._steps)
        self._report(
            f"{self._job.run.name}: epoch {self._state.epoch + 1}/{self._job.plan.epochs} step {done}/{self._steps} "
            f"loss {loss:.3f}, {1 / per_step * self._job.plan.batch_size:.0f} samples/s, {_duration(left)} to go"
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


def _claim(job: Job) -> None:
    """Make the run folder, or make sure that it holds this very run."""
    import keras

    config = {"plan": asdict(job.plan), **job.describe}
    path = job.run / "config.json"
    wanted = json.loads(json.dumps(config))
    try:
        job.run.mkdir(parents=True, exist_ok=True)
        if path.exists():
            present = json.loads(path.read_text())
            present.pop("made_with", None)
            differing = [key for key in wanted if present.get(key) != wanted[key]]
            if differing:
                raise TrainingError(
                    f"{job.run}: holds a run with another {', '.join(differing)}; take another --run or remove it"
                )
            return
        made_with = {"keras": keras.__version__, "backend": keras.backend.backend(), "python": sys.version.split()[0]}
        path.write_text(json.dumps({**config, "made_with": made_with}, indent=2) + "\n")
    except OSError as error:
        raise TrainingError(f"{job.run}: cannot be written: {error.strerror}") from error


def _save(job: Job, model: Any, state: _State) -> None:
    _write(model.save, job.run / "checkpoint.keras")
    _write(lambda path: path.write_text(json.dumps(state.rows)), job.run / "state.json")
    _write(lambda path: _write_history(path, state.rows), job.run / "history.csv")
    _write(lambda path: _draw_curves(path, state.rows), job.run / "curves.png")


def _write(write: Callable[[Path], Any], path: Path) -> None:
    """Write beside, then rename: a kill or a full disk leaves the old file whole."""
    beside = path.with_name(f".new-{path.name}")
    try:
        write(beside)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise TrainingError(f"{path}: cannot be written: {error}; the last checkpoint is whole") from error


def _write_history(path: Path, rows: Sequence[dict[str, float]]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _draw_curves(path: Path, rows: Sequence[dict[str, float]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    for axes, names in ((left, ("loss", "val_loss")), (right, ("val_accuracy", "val_uar"))):
        for name in names:
            axes.plot(epochs, [row[name] for row in rows], label=name.replace("val_", "validation "))
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=110, format="png")


def _summary(job: Job, row: dict[str, float]) -> str:
    size = f" at {row['size']}x{row['size']}" if row["size"] else ""
    return (
        f"{job.run.name}: epoch {row['epoch']}/{job.plan.epochs}{size}: loss {row['loss']:.3f}, validation loss "
        f"{row['val_loss']:.3f}, accuracy {row['val_accuracy']:.1%}, UAR {row['val_uar']:.1%} ({row['seconds']:.0f} s)"
    )
